"""The system that asks, tiny, through the command line: what is measured, and texts of one's own."""

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
from experiments.language import question_answering as asking
from gdl_jax.core.errors import UserError
from gdl_jax.data.text import questions
from gdl_jax.evaluation.text import answer_scores
from gdl_jax.runs.main import check_resume, main
from gdl_jax.runs.restore import restore
from gdl_jax.runs.summary import count_parameters

TINY = [
    *("--steps=2", "--log_every=1", "--eval_every=2", "--batch_size=8", "--glove=", "--embedding_size=4"),
    *("--reader_units=4", "--decoder_units=6", "--attention_units=4", "--attention", "--copy", "--beams=2"),
]
LEAST_KNOWN = "all words equally probable"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Of a short run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "BULLETINS", 40)
        path = tmp_path_factory.mktemp("qa") / "run"
        with contextlib.redirect_stderr(io.StringIO()):
            main(qa.EXPERIMENT, "about", ["program", f"--workdir={path}", *TINY])
        yield path


def test_a_run_measures_answers_and_questions(workdir):
    results = json.loads((workdir / "results.json").read_text())
    assert results["test/loss"] == pytest.approx(results["test/answer_loss"] + results["test/question_loss"], rel=1e-4)
    entropy, least = (results[f"{kind}/word_loss"] for kind in ("as common as in the test questions", LEAST_KNOWN))
    assert 0 < entropy < least == pytest.approx(results["test/word_loss"], rel=0.1)  # two steps teach nothing
    for name in ("precision", "recall", "F1", "F1_at_random", "exact_match"):
        assert 0 <= results[f"samples/answer_{name}"] <= 1
    assert results["tagging everything/answer_F1"] > 0.2
    assert 0 <= results["samples/question_BLEU-4"] <= 100 and 0 <= results["samples/question_ROUGE-L"] <= 1
    assert results["people/kind_fits"] == 1.0  # bulletins are made so
    assert {"passage_1.png", "passage_3.png", "samples_at_0000002.png"} <= {
        path.name for path in (workdir / "figures").iterdir()
    }


@pytest.fixture(scope="module")
def perfect():
    """Bulletins, and what would be drawn of them by who knows all answers and asks as people do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "BULLETINS", 100)
        data = questions.load("bulletins", lengths=questions.Lengths(80, 16, 4))
    tags = {name: asking.passages(getattr(data, name))["answer_labels"] * 0.3 for name in ("validation", "test")}
    asked = data.test.take(np.arange(len(data.test)))["question"]
    return data, asking.Drawn(**tags, questions=asked)


def test_who_knows_everything_gets_the_best_numbers(perfect):
    data, drawn = perfect
    numbers = asking.measure(data, drawn)
    for name in ("answer_precision", "answer_recall", "answer_F1", "answer_exact match", "question_ROUGE-L"):
        assert numbers[name] == 1, name
    assert numbers["question_BLEU-4"] == pytest.approx(100)
    assert numbers["kind_fits"] == 1 > numbers["kind_chance"] + 0.3
    known = asking.references(data)
    assert numbers["question_unknown_share"] == 0 < known["people/question_unknown_share"]  # those words are copied
    assert (numbers["kind_fits"], numbers["kind_judged"]) == (known["people/kind_fits"], known["people/kind_judged"])
    assert 0.2 < known["tagging everything/answer_F1"] < 0.6


def test_numbers_are_those_of_what_was_drawn(perfect):
    """Tags at random, and questions that belong to other answers."""
    data, drawn = perfect
    rng = np.random.default_rng(0)
    tags = rng.random(drawn.test.shape)
    moved = np.roll(drawn.questions, 7, axis=0)
    numbers = asking.measure(data, drawn._replace(test=tags, questions=moved))
    rows = asking.passages(data.test)
    expected = answer_scores(tags >= 0.3, rows["answer_labels"], rows["document"] != questions.PADDING)
    assert numbers["answer_F1"] == expected["F1"] == pytest.approx(numbers["answer_F1_at_random"], abs=0.05)
    assert numbers["question_BLEU-4"] < 60 and numbers["question_ROUGE-L"] < 0.8
    assert numbers["kind_fits"] == pytest.approx(numbers["kind_chance"], abs=0.15)


def test_while_training_goes_on_the_test_split_is_not_looked_at(run, monkeypatch):
    """A run whose test split is gone is measured, and drawn, as before; at the end it would not be."""
    now = dataclasses.replace(run, split="validation")
    drawn = asking.draw(now, run.key, 5)
    np.testing.assert_array_equal(drawn.validation, asking.tag(run, asking.passages(run.data.validation)))
    assert drawn.test is None and len(drawn.questions) == min(5, len(run.data.validation))
    blind = dataclasses.replace(run.data, test=None, asked={"validation": run.data.asked["validation"]})
    numbers = asking.measure(blind, drawn)
    rows = asking.passages(run.data.validation)
    mask = rows["document"] != questions.PADDING
    tagged = drawn.validation >= asking.threshold(run)
    assert numbers["answer_F1"] == answer_scores(tagged, rows["answer_labels"], mask)["F1"]
    qa.preview(dataclasses.replace(now, data=blind))
    with pytest.raises(AttributeError):
        asking.draw(dataclasses.replace(run, data=blind), run.key, 5)


def test_held_out_passages_with_questions_are_written(workdir, capsys):
    sample.main(["program", f"--workdir={workdir}", "--num=2"])
    path = capsys.readouterr().out.strip()
    text = (workdir / "samples" / "questions.txt").read_text()
    assert path.endswith("questions.txt")
    assert sum(line.endswith(".") and not line.startswith(" ") for line in text.splitlines()) == 2


@pytest.mark.parametrize(
    "text", ["Anna Brown founded a bakery in Oslo .", "zzyzx qwrtp\n", "word", "many words " * 100]
)
def test_a_text_of_one_s_own_gets_questions(workdir, tmp_path, capsys, text, monkeypatch):
    file = tmp_path / "story.txt"
    file.write_text(text)
    ask.main(["program", f"--workdir={workdir}", f"--file={file}"])
    said = capsys.readouterr()
    first, *asked = said.out.splitlines()
    assert first.split() == text.split()[:80]
    assert asked and all(line.startswith("  ") and ":" in line for line in asked)
    assert ("knows none" in said.err) == (text.split()[0] in ("zzyzx", "word"))
    assert ("the first 80 are read" in said.err) == text.startswith("many")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ask.main(["program", f"--workdir={workdir}"])
    assert capsys.readouterr().out == said.out


@pytest.fixture(scope="module")
def run(workdir):
    return restore(workdir, warn=print).run


def test_tagging_is_compiled_once(run):
    rows, sizes = asking.passages(run.data.test), []
    for _ in range(3):
        asking.tag(run, rows)
        sizes.append(asking._probabilities._cache_size())
    assert sizes[0] == sizes[2]


def test_more_beams_find_other_questions(run):
    """Of a network that is not indifferent, as one of two steps is."""
    bold = dataclasses.replace(run, state=jax.tree.map(lambda leaf: 40 * leaf, run.state))
    rows = run.data.test.take(np.arange(len(run.data.test)))
    greedy, two, own = (asking.ask(one, rows) for one in (*(ask.with_beams(bold, n) for n in (1, 2)), bold))
    assert (own == two).all() and (greedy != two).any()


def test_beams_may_change_when_a_run_goes_on_and_the_network_may_not(run, workdir):
    assert check_resume(workdir, qa.EXPERIMENT, dataclasses.replace(run.config, beams=7))
    with pytest.raises(UserError, match="decoder_units"):
        check_resume(workdir, qa.EXPERIMENT, dataclasses.replace(run.config, beams=7, decoder_units=7))


def test_paths_may_be_given_as_before_when_a_run_goes_on(run, workdir, tmp_path, monkeypatch):
    """The same relative path; where the data's digest is known, flags.json has it absolute all the same."""
    shutil.copytree(workdir, tmp_path / "run")
    path = tmp_path / "run" / "flags.json"
    contents = json.loads(path.read_text())
    assert contents["data_digest"]
    contents["flags"]["glove"] = str(tmp_path / "glove.txt")
    path.write_text(json.dumps(contents))
    monkeypatch.chdir(tmp_path)
    assert check_resume(tmp_path / "run", qa.EXPERIMENT, dataclasses.replace(run.config, glove="glove.txt"))
    with pytest.raises(UserError, match="--glove was"):
        check_resume(tmp_path / "run", qa.EXPERIMENT, dataclasses.replace(run.config, glove="other.txt"))


def test_a_figure_of_a_text_of_one_s_own(workdir, tmp_path, capsys):
    file, figure = tmp_path / "story.txt", tmp_path / "story.png"
    file.write_text("Anna Brown founded a bakery in Oslo .")
    ask.main(["program", f"--workdir={workdir}", f"--file={file}", "--beams=1", f"--figure={figure}"])
    assert capsys.readouterr().out.startswith("Anna Brown founded") and figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--figure=/nowhere/a.png"], "--figure=/nowhere/a.png: cannot be written"),
        (["--figure=a.txt"], "--figure=a.txt: must end in .png"),
        (["--beams=0"], "--beams=0: must be at least 1"),
    ],
)
def test_bad_flags_of_asking_are_one_line(workdir, tmp_path, capsys, flags, text):
    (tmp_path / "story.txt").write_text("a story")
    with pytest.raises(SystemExit, match="2"):
        ask.main(["program", f"--workdir={workdir}", f"--file={tmp_path}/story.txt", *flags])
    assert [text in line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")] == [True]


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "empty"), (b" \n", "empty"), (b"\xff\xfe", "UTF-8"), (b"a\0b", "binary")]
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


def test_answers_are_stretches_of_probable_words():
    probabilities = np.array([0.9, 0.2, 0.6, 0.7, 0.8, 0.5, 0.51])
    assert asking.answers_in(probabilities, 0.51, 2) == [(0,), (2, 3), (6,)]
    assert asking.answers_in(probabilities, 0.51, 9) == [(0,), (2, 3, 4), (6,)]
    assert asking.answers_in(probabilities, 0.5, 9) == [(0,), (2, 3, 4, 5, 6)]
    assert asking.answers_in(np.array([0.1, 0.3, 0.2]), 0.5, 9) == [(1,)]


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--copy", "--attention=false"], "--copy needs --attention"),
        (["--beams=0"], "--beams=0"),
        (["--dataset=newsqa"], "--data_dir"),
        (["--dataset=digits"], "--dataset=digits"),
        (["--glove=/nowhere.txt"], "--glove=/nowhere.txt"),
        (["--train_examples=99999"], "--train_examples=99999"),
        (
            ["--attention=false", "--copy=false", "--attention_units=5"],
            "--attention_units=5: has no effect without --attention",
        ),
        (["--embedding_size=4", "--glove=bundled"], "--embedding_size=4: has no effect without --glove="),
    ],
)
def test_bad_flags_are_one_line(tmp_path, capsys, flags, text, monkeypatch):
    monkeypatch.setattr(questions, "BULLETINS", 40)
    with pytest.raises(SystemExit, match="2"):
        main(qa.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}/run", "--batch_size=8", "--glove=", *flags])
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert text in line and not (tmp_path / "run" / "flags.json").exists()


@pytest.mark.parametrize(("reset_after", "count"), [(False, 3_537_402), (True, 3_539_202)])
def test_the_book_s_sizes_are_known_without_the_data(reset_after, count):
    config = dataclasses.replace(qa.PRESETS["newsqa"], reset_after=reset_after)
    assert count_parameters(qa.parts(config, qa.blank(config))).total == count
