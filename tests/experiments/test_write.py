"""Tests of `write`, at a terminal and in a pipe, with a network whose vocabulary is the alphabet."""

import dataclasses
import io
import sys
from string import ascii_lowercase

import jax
import numpy as np
import pytest

from experiments import ask, text_rnn, write
from experiments.language.writing import StoryWriter
from experiments.worlds import evaluate as world_evaluate
from gdl_jax.data.text.tokens import SEPARATOR
from gdl_jax.nn.sampling import SamplingConfig
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.restore import RestoredRun

STORIES = (ascii_lowercase[first:] + ascii_lowercase[:first] for first in range(12))  # no two of them are the same
TEXT = "\n\n\n\n\n\n".join(" ".join(2 * story) for story in STORIES)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An untrained run."""
    path = tmp_path_factory.mktemp("text") / "alphabet.txt"
    path.write_text(TEXT)
    config = dataclasses.replace(text_rnn.PRESETS["tiny"], dataset=f"text:{path}", sequence_length=5, token_type="word")
    data = text_rnn.load(config)
    learner = text_rnn.build(config, data, None)
    state = jax.jit(learner.init)(jax.random.key(0), {"tokens": np.zeros((1, 6), np.int32)})
    return Run(config, data, learner, state, jax.random.key(1), 0, path.parent)


def session(run, start, sampling, lines):
    return write.session(StoryWriter(run), run.key, start, sampling, lines)


def likeliest(run, story):
    """Returns the ten likeliest words after a story, without the unknown token, by sorting a plain list."""
    words = [SEPARATOR] * 5 + list(story)
    module = text_rnn.networks(run.config, run.data)["network"].module
    context = run.data.vocabulary.encode(words)[-5:]
    logits = np.asarray(module.apply({"params": run.state.params["network"]}, context[None], train=False), float)[0, 0]
    shares = np.exp(logits) / np.exp(logits[1:]).sum()
    ranked = sorted(range(1, len(logits)), key=lambda number: -logits[number])[:10]
    return [(run.data.vocabulary.words[number], shares[number]) for number in ranked]


@pytest.mark.slow
def test_numbers_pick_words_are_added_and_undo_reverts(run, capsys):
    third = likeliest(run, ["a"])[2][0]
    story = session(run, ["a"], SamplingConfig(), ["3", "X y", "unicorn", ":undo", "z", ":quit", "b"])
    assert story == [word for word in ("a", third, "z") if word != SEPARATOR]
    said = capsys.readouterr().err
    assert sum("unicorn" in line for line in said.splitlines()) == 1
    assert session(run, ["a"], SamplingConfig(), [":undo", "b"]) == ["a", "b"]  # the prompt stays


def test_the_ten_likeliest_words_are_offered(run, capsys):
    session(run, ["a", "b"], SamplingConfig(), [])
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "a b" and lines[-1] == "> "
    offered = [line.split(maxsplit=2) for line in lines[2:-1]]
    expected = likeliest(run, ["a", "b"])
    assert [number for number, _, _ in offered] == [str(i) for i in range(1, 11)]
    assert [name.replace("(the end)", SEPARATOR) for _, _, name in offered] == [word for word, _ in expected]
    for (_, share, _), (_, exact) in zip(offered, expected, strict=True):
        assert float(share.rstrip("%")) == pytest.approx(100 * exact, abs=0.06)


def test_an_empty_line_samples_anew_each_time(run):
    greedy = likeliest(run, ["a"])[0][0]
    assert session(run, ["a"], SamplingConfig(0.0), [""]) == [word for word in ("a", greedy) if word != SEPARATOR]
    tries = {tuple(session(run, ["a"], SamplingConfig(3.0), [*["", ":undo"] * n, ""])) for n in range(8)}
    assert len(tries) > 2


def test_the_end_of_the_story_ends_the_session(run, capsys):
    params = run.state.params["network"]
    bias = params["words"]["bias"].at[run.data.vocabulary.index[SEPARATOR]].set(20.0)
    params = {"network": params | {"words": params["words"] | {"bias": bias}}}
    ending = dataclasses.replace(run, state=run.state.replace(params=params))
    for line in ("1", ""):
        assert session(ending, ["a"], SamplingConfig(), [line, "b"]) == ["a"]
    assert "  1  100.0%  (the end)" in capsys.readouterr().err


@pytest.fixture
def piped(run, monkeypatch, capsys):
    """Function that runs the script on bytes from a pipe and returns its standard output and error."""

    def pipe(text, *flags):
        monkeypatch.setattr(write, "restore", lambda *_, **__: RestoredRun(text_rnn.EXPERIMENT, run, run.state))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        write.main(["program", "--workdir=runs/x", *flags])
        said = capsys.readouterr()
        return said.out, said.err

    return pipe


def test_in_a_pipe_only_the_story_is_on_standard_output(piped):
    out, _ = piped(b"b\nc\xff\nd , e\n\nq".replace(b"\n\n", b"\n"), "--prompt=A")
    assert out == "a b q\n"  # c\xff and the comma are unknown


def test_a_prompt_of_unknown_words_is_one_line(piped, capsys):
    with pytest.raises(SystemExit, match="2"):
        piped(b"", "--prompt=unicorns, dragons")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --prompt=unicorns, dragons")


@pytest.mark.parametrize("flag", ["--temperature=-1", "--top_k=-1", "--top_p=2", "--top_p=0"])
def test_bad_options_are_one_line(piped, capsys, flag):
    with pytest.raises(SystemExit, match="2"):
        piped(b"", flag)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flag}")


@pytest.mark.parametrize(("tool", "expected"), [(write, "text_rnn"), (ask, "qa"), (world_evaluate, "world_controller")])
def test_a_run_of_another_experiment_is_refused(tool, expected, tmp_path, monkeypatch, capsys):
    (tmp_path / "flags.json").write_text('{"experiment": "vae", "flags": {}}')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a story")))
    if tool is world_evaluate:
        pytest.importorskip("Box2D", reason="evaluation needs gymnasium[box2d]")
    with pytest.raises(SystemExit, match="2"):
        tool.main(["program", f"--workdir={tmp_path}"])
    error = capsys.readouterr().err
    assert all(text in error for text in (str(tmp_path), "vae", expected))
