"""Tests of a tiny question generator from the command line: metrics, and questions about your own text."""

import contextlib
import dataclasses
import io
import json
import shutil
import sys

import jax
import numpy as np
import pytest

from experiments import ask, qa, sample
from experiments.language import question_answering as answering
from experiments.language import question_metrics as metrics
from gdl_jax.core.errors import UserError
from gdl_jax.data.text import questions
from gdl_jax.evaluation.text import answer_scores
from gdl_jax.runs.main import main
from gdl_jax.runs.records import check_resume
from gdl_jax.runs.restore import restore
from gdl_jax.runs.summary import count_parameters

pytestmark = pytest.mark.slow

TRAINED = ["--config=tiny", "--beams=2"]
SHORT = [*TRAINED, "--steps=2", "--log_every=1", "--eval_every=2"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Workdir of a run of the tiny preset with two beams."""
    path = tmp_path_factory.mktemp("qa") / "run"
    with contextlib.redirect_stderr(io.StringIO()):
        main(qa.EXPERIMENT, "about", ["program", f"--workdir={path}", *TRAINED])
    return path


def test_a_run_measures_answers_and_questions(workdir):
    results = json.loads((workdir / "results.json").read_text())
    assert results["test/loss"] == pytest.approx(results["test/answer_loss"] + results["test/question_loss"], rel=1e-4)
    assert results["test/word_loss"] < results["unigram/word_loss"] < results["uniform_words/word_loss"]
    assert 1 >= results["samples/answer_f1"] > 0.3 + results["samples/answer_f1_at_random"]
    for name in ("answer_precision", "answer_recall", "answer_exact_match", "question_rouge_l"):
        assert 0 <= results[f"samples/{name}"] <= 1
    assert results["tag_everything/answer_f1"] > 0.2
    assert 0 <= results["samples/question_bleu_4"] <= 100
    assert results["people/kind_fits"] == 1.0  # by construction of the bulletins
    assert 0 < results["tagging_threshold"] < 1
    assert {"samples", "tagging_threshold"} <= set(results["protocol"])
    assert {"passage_1.png", "passage_3.png", "samples_at_0000040.png"} <= {
        path.name for path in (workdir / "figures").iterdir()
    }


@pytest.fixture(scope="module")
def perfect():
    """Bulletins, and the samples of a perfect model: all answers found, and people's questions."""
    data = questions.load("bulletins", vocabulary_size=100, lengths=questions.Lengths(80, 16, 4))
    tags = {name: answering.passages(getattr(data, name))["answer_labels"] * 0.3 for name in ("validation", "test")}
    asked = data.test.take(np.arange(len(data.test)))["question"]
    return data, metrics.EvaluationSamples(**tags, questions=asked)


def test_a_perfect_model_has_the_best_metrics(perfect):
    data, drawn = perfect
    numbers = metrics.measure(data, drawn)
    for name in ("answer_precision", "answer_recall", "answer_f1", "answer_exact_match", "question_rouge_l"):
        assert numbers[name] == 1, name
    assert numbers["question_bleu_4"] == pytest.approx(100)
    assert numbers["kind_fits"] == 1 > numbers["kind_chance"] + 0.3
    known = metrics.references(data)
    assert numbers["question_unknown_share"] == 0 < known["people/question_unknown_share"]  # those words are copied
    assert (numbers["kind_fits"], numbers["kind_known"]) == (known["people/kind_fits"], known["people/kind_known"])
    assert 0.2 < known["tag_everything/answer_f1"] < 0.6


def test_metrics_of_random_tags_and_shuffled_questions(perfect):
    """Random tags, and questions that belong to other answers."""
    data, drawn = perfect
    rng = np.random.default_rng(0)
    tags = rng.random(drawn.test.shape)
    known = np.where(drawn.questions < len(data.vocabulary), drawn.questions, questions.UNKNOWN)
    moved = np.roll(known, 7, axis=0)
    numbers = metrics.measure(data, drawn._replace(test=tags, questions=moved))
    rows = answering.passages(data.test)
    expected = answer_scores(tags >= 0.3, rows["answer_labels"], rows["document"] != questions.PADDING)
    assert numbers["answer_f1"] == expected["f1"] == pytest.approx(numbers["answer_f1_at_random"], abs=0.05)
    assert numbers["question_bleu_4"] < 60 and numbers["question_rouge_l"] < 0.8
    assert numbers["kind_fits"] == pytest.approx(numbers["kind_chance"], abs=0.15)


def test_evaluation_during_training_does_not_use_the_test_split(run):
    """Without a test split, metrics and figures during training are the same; the final ones raise."""
    now = dataclasses.replace(run, split="validation")
    drawn = metrics.draw(now, run.key, 5)
    np.testing.assert_array_equal(drawn.validation, answering.tag(run, answering.passages(run.data.validation)))
    assert drawn.test is None and len(drawn.questions) == min(5, len(run.data.validation))
    blind = dataclasses.replace(run.data, test=None, asked={"validation": run.data.asked["validation"]})
    numbers = metrics.measure(blind, drawn)
    rows = answering.passages(run.data.validation)
    mask = rows["document"] != questions.PADDING
    tagged = drawn.validation >= answering.tagging_threshold(run)
    assert numbers["answer_f1"] == answer_scores(tagged, rows["answer_labels"], mask)["f1"]
    qa.preview(dataclasses.replace(now, data=blind))
    with pytest.raises(AttributeError):
        metrics.draw(dataclasses.replace(run, data=blind), run.key, 5)


def test_samples_are_held_out_passages_with_questions(workdir, capsys):
    sample.main(["program", f"--workdir={workdir}", "--num=2"])
    path = capsys.readouterr().out.strip()
    text = (workdir / "samples" / "questions.txt").read_text()
    assert path.endswith("questions.txt")
    assert sum(line.endswith(".") and not line.startswith(" ") for line in text.splitlines()) == 2


@pytest.mark.parametrize(
    "text", ["Anna Brown founded a bakery in Oslo .", "zzyzx qwrtp\n", "word", "many words " * 100]
)
def test_ask_writes_questions_about_a_text(workdir, tmp_path, capsys, text, monkeypatch):
    file = tmp_path / "story.txt"
    file.write_text(text)
    ask.main(["program", f"--workdir={workdir}", f"--file={file}"])
    said = capsys.readouterr()
    first, *asked = said.out.splitlines()
    assert first.split() == text.split()[:80]
    assert asked and all(line.startswith("  ") and ":" in line for line in asked)
    assert ("vocabulary" in said.err) == (text.split()[0] in ("zzyzx", "word"))
    assert ("the first 80" in said.err) == text.startswith("many")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ask.main(["program", f"--workdir={workdir}"])
    assert capsys.readouterr().out == said.out


@pytest.fixture(scope="module")
def run(workdir):
    return restore(workdir, warn=print).run


def test_tags_and_questions_do_not_depend_on_the_batch(run):
    """The last of 101 rows is in a batch padded with copies."""
    rows = run.data.test.take(np.arange(101))
    few = {name: values[-2:] for name, values in rows.items()}
    for function in (answering.tag, answering.decode_questions):
        np.testing.assert_allclose(function(run, rows)[-2:], function(run, few), rtol=1e-5)


def test_more_beams_find_other_questions(run):
    sure = dataclasses.replace(run, state=jax.tree.map(lambda leaf: 4 * leaf, run.state))  # sharper word probabilities
    rows = run.data.test.take(np.arange(len(run.data.test)))
    runs = (*(ask.with_beams(qa.EXPERIMENT, sure, beams) for beams in (1, 2)), sure)
    greedy, two, own = (answering.decode_questions(one, rows) for one in runs)
    assert (own == two).all() and (greedy != two).any()


def test_only_beams_may_change_on_resume(run, workdir):
    assert check_resume(workdir, qa.EXPERIMENT, dataclasses.replace(run.config, beams=7))
    with pytest.raises(UserError, match="decoder_units"):
        check_resume(workdir, qa.EXPERIMENT, dataclasses.replace(run.config, beams=7, decoder_units=7))


def test_the_same_relative_path_is_accepted_on_resume(run, workdir, tmp_path, monkeypatch):
    """flags.json has the path absolute, even where the digest of the data is known."""
    shutil.copytree(workdir, tmp_path / "run")
    path = tmp_path / "run" / "flags.json"
    contents = json.loads(path.read_text())
    assert contents["data_digest"]
    contents["flags"]["glove"] = str(tmp_path / "glove.txt")
    path.write_text(json.dumps(contents))
    monkeypatch.chdir(tmp_path)
    assert check_resume(tmp_path / "run", qa.EXPERIMENT, dataclasses.replace(run.config, glove="glove.txt"))
    with pytest.raises(UserError, match="glove"):
        check_resume(tmp_path / "run", qa.EXPERIMENT, dataclasses.replace(run.config, glove="other.txt"))


def test_ask_draws_a_figure(workdir, tmp_path, capsys):
    file, figure = tmp_path / "story.txt", tmp_path / "story.png"
    file.write_text("Anna Brown founded a bakery in Oslo .")
    ask.main(["program", f"--workdir={workdir}", f"--file={file}", "--beams=1", f"--figure={figure}"])
    assert capsys.readouterr().out.startswith("Anna Brown founded") and figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--figure=/nowhere/a.png"], "--figure=/nowhere/a.png"),
        (["--figure=a.txt"], "--figure=a.txt"),
        (["--beams=0"], "--beams=0"),
    ],
)
def test_bad_flags_of_ask_are_one_line(workdir, tmp_path, capsys, flags, text):
    (tmp_path / "story.txt").write_text("a story")
    with pytest.raises(SystemExit, match="2"):
        ask.main(["program", f"--workdir={workdir}", f"--file={tmp_path}/story.txt", *flags])
    assert [text in line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")] == [True]


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "empty"), (b" \n", "empty"), (b"\xff\xff", "UTF-8"), (b"a\0b", "binary")]
)
def test_a_bad_text_is_one_line(workdir, tmp_path, capsys, monkeypatch, content, text):
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    for flags in ([f"--file={file}"], [], ["--file=/nowhere.txt"]):
        with pytest.raises(SystemExit, match="2"):
            ask.main(["program", f"--workdir={workdir}", *flags])
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and (text in line or "nowhere" in line)


def test_answers_are_spans_of_probable_words():
    probabilities = np.array([0.9, 0.2, 0.6, 0.7, 0.8, 0.5, 0.51])
    assert answering.answers_in(probabilities, 0.51, 2) == [(0,), (2, 3), (6,)]
    assert answering.answers_in(probabilities, 0.51, 9) == [(0,), (2, 3, 4), (6,)]
    assert answering.answers_in(probabilities, 0.5, 9) == [(0,), (2, 3, 4, 5, 6)]
    assert answering.answers_in(np.array([0.1, 0.3, 0.2]), 0.5, 9) == [(1,)]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--copy", "--attention=false"], "--copy"),
        (["--beams=0"], "--beams=0"),
        (["--dataset=newsqa"], "--dataset=newsqa"),
        (["--dataset=digits"], "--dataset=digits"),
        (["--glove=/nowhere.txt"], "--glove=/nowhere.txt"),
        (["--train_examples=99999"], "--train_examples=99999"),
        (["--attention=false", "--copy=false", "--attention_units=5"], "--attention_units=5"),
        (["--embedding_size=4", "--glove=bundled"], "--embedding_size=4"),
    ],
)
def test_bad_flags_are_one_line(tmp_path, capsys, flags, text):
    with pytest.raises(SystemExit, match="2"):
        main(qa.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}/run", *SHORT, *flags])
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert text in line and not (tmp_path / "run" / "flags.json").exists()


@pytest.mark.parametrize(("reset_after", "count"), [(False, 3_537_402), (True, 3_539_202)])
def test_the_book_s_parameter_counts_need_no_data(reset_after, count):
    config = dataclasses.replace(qa.PRESETS["newsqa"], reset_after=reset_after)
    assert count_parameters(qa.networks(config, qa.spec(config))).total == count
