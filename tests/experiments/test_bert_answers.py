"""Tests of answers by a fine-tuned BERT from the command line: scores, questions of one's own, clear errors."""

import json

import jax
import numpy as np
import pytest

from experiments import bert_answers, export, sample
from experiments.language import answer_finding
from gdl_jax.data.text import answer_spans
from gdl_jax.data.text.answer_spans import SpanQuestion
from gdl_jax.runs.main import main
from gdl_jax.runs.restore import restore

SHORT = ["--config=tiny", "--steps=2", "--log_every=2", "--eval_every=0", "--checkpoint_every=2"]
STORY = "Anna Brown founded a bakery in Oslo in 1999 . A fire destroyed 20 houses near Paris last Monday . "
QUESTION = "where did Brown found a bakery ?"


@pytest.fixture(scope="module", autouse=True)
def few_bulletins():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer_spans, "BULLETINS", 150)
        yield


def train(workdir, *flags):
    main(bert_answers.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def finished(few_bulletins, tmp_path_factory):
    """The workdir of a tiny run on bulletins."""
    workdir = tmp_path_factory.mktemp("answers") / "run"
    train(workdir, "--config=tiny")
    return workdir


@pytest.fixture(scope="module")
def run(finished):
    return restore(finished, warn=pytest.fail, read_data=True).run


@pytest.fixture(scope="module")
def exported(finished):
    """The folder that `export` wrote of the tiny run."""
    folder = finished.parent / "exported"
    export.main(["export", f"--workdir={finished}", f"--out={folder}"])
    return folder


def answered(workdir, capsys, *flags):
    """Returns what `sample` writes to standard error; checks its picture."""
    out = workdir.parent / "out"
    sample.main(["sample", f"--workdir={workdir}", f"--out={out}", *flags])
    assert (out / "answers.png").stat().st_size
    return capsys.readouterr().err.rstrip("\n")


def test_learns_more_than_an_untrained_network_knows(finished, run):
    results = json.loads((finished / "results.json").read_text())
    rows = run.data.test.arrays
    assert results["test/loss"] < np.log(rows["length"] - rows["first"]).mean() - 0.3
    assert results["test/f1"] > results["whole_passage/f1"]
    assert 0 <= results["test/exact_match"] <= results["test/f1"] <= 1


def test_scores_by_hand():
    places = np.array([[0, 4], [5, 10], [11, 14], [14, 15]])
    asked = [SpanQuestion("Anna Brown left.", places, "who ?", ("Anna Brown", "Brown"))] * 3
    found, right = {0: (1, 1), 1: (0, 2)}, {0: (0, 1), 1: (0, 1), 2: (0, 1)}
    scores = answer_finding.score(found, right, asked)
    assert scores["exact_match"] == pytest.approx(1 / 3)  # the second person's answer; the third has none
    assert scores["f1"] == pytest.approx((1 + 0.8 + 0) / 3)
    assert scores["token_f1"] == pytest.approx(2 * 3 / (4 + 6))  # 3 of 4 tokens found are right, and 6 are to be found


def test_targets_are_peoples_answers(run):
    asked = run.data.asked["test"]
    assert answer_finding.score(answer_finding.people(run.data.test), answer_finding.people(run.data.test), asked) == {
        "exact_match": 1.0,
        "f1": 1.0,
        "token_f1": 1.0,
    }


def test_answers_are_the_best_spans_of_the_network(run):
    source, asked = run.data.test, run.data.asked["test"]
    found = answer_finding.find(run, source)
    assert set(found) == set(range(len(asked)))
    batch = run.data.transform(source.take(np.arange(20)))
    logits = np.asarray(run.learner.sample(run.state, run.key, 20, batch))
    for row in range(20):
        first, last = int(batch["first"][row]), int(batch["length"][row]) - 2
        spans = [(i, j) for i in range(first, last + 1) for j in range(i, min(last, i + 29) + 1)]
        start, end = max(spans, key=lambda span: logits[row, 0, span[0]] + logits[row, 1, span[1]])
        assert found[int(batch["question"][row])] == (start - first, end - first)  # its passage has one window


def test_a_question_about_a_text_or_a_file(finished, tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY)
    answers = [
        answered(finished, capsys, f"--prompt={QUESTION}", f"--passage={passage}")
        for passage in (STORY, tmp_path / "story.txt")
    ]
    assert answers[0] == answers[1] and answers[0] and answers[0] in STORY


def test_a_long_passage_has_several_windows(run):
    found = answer_finding.ask(run, QUESTION, STORY * 40)
    assert found.passage[slice(*found.found)].strip()
    assert len(run.data.tokenizer.encode(STORY * 40)) > 2 * run.config.max_length


def test_held_out_questions_are_drawn(finished, capsys):
    assert answered(finished, capsys, "--num=3") == ""


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--prompt=who ?"], "passage"),
        (["--passage=a story"], "prompt"),
        (["--prompt=who ?", "--passage= "], "passage"),
    ],
    ids=["no_passage", "no_question", "no_token"],
)
def test_a_bad_question_is_one_clear_line(finished, capsys, flags, named):
    with pytest.raises(SystemExit) as ended:
        answered(finished, capsys, *flags)
    assert ended.value.code == 2
    assert f"--{named}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "named"),
    [(["--stride=400"], "stride"), (["--max_question=200"], "max_length"), (["--dataset=newsqa"], "dataset")],
    ids=["stride", "question", "data"],
)
def test_a_bad_flag_is_one_clear_line(tmp_path, capsys, flags, named):
    with pytest.raises(SystemExit) as ended:
        train(tmp_path / "run", *SHORT, *flags)
    assert ended.value.code == 2
    assert f"--{named}" in capsys.readouterr().err


def test_the_head_alone_is_trained_on_a_frozen_encoder(finished, exported, tmp_path):
    train(tmp_path / "run", *SHORT, "--trained=head", f"--init={exported}")
    before, after = (
        restore(path, warn=pytest.fail).run.state.params["network"] for path in (finished, tmp_path / "run")
    )
    jax.tree.map(np.testing.assert_array_equal, after["bert"], before["bert"])
    assert (before["qa_outputs"]["kernel"] != after["qa_outputs"]["kernel"]).any()
