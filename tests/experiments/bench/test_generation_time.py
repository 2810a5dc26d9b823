"""Tests of the generation benchmark on a small network, and of the Keras peer."""

import dataclasses
import json
import types

import numpy as np
import pytest

from experiments import text_rnn
from experiments.bench import generation_time
from experiments.bench.peers import keras_text, timing
from gdl_jax.runs.summary import count_parameters

SMALL = timing.GPT(32, 2, 2, 8, 11)


@pytest.fixture
def ticking(monkeypatch):
    """Windows of five tokens that take 2 s each."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(generation_time, "TOKENS", 5)
    monkeypatch.setattr(generation_time, "time", types.SimpleNamespace(perf_counter=lambda: float(next(clock))))


def rates(capsys, *flags):
    """Runs the benchmark; returns (texts, tokens per second) of each line."""
    generation_time.main(["program", *flags])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(row["texts"], row["tokens_per_second"]) for row in rows]


@pytest.mark.slow
def test_rates_count_the_tokens_of_all_texts(monkeypatch, ticking, capsys):
    small = dataclasses.replace(text_rnn.PRESETS["aesop"], embedding_size=4, hidden_units=4)
    monkeypatch.setitem(text_rnn.PRESETS, "aesop", small)
    gates, build = [], text_rnn.build
    monkeypatch.setattr(
        text_rnn, "build", lambda config, *more: gates.append(config.recurrent_activation) or build(config, *more)
    )
    assert rates(capsys, "--batch_sizes=1,3", "--windows=1") == [(1, 2.5), (3, 7.5)]
    assert set(gates) == {"sigmoid"}  # the peer's, not the book's


@pytest.mark.slow
def test_a_gpt_of_the_peer_s_sizes_is_timed(monkeypatch, ticking, capsys):
    monkeypatch.setitem(timing.GENERATORS, "gpt", SMALL)
    assert rates(capsys, "--model=gpt", "--batch_sizes=3", "--windows=1") == [(3, 7.5)]


@pytest.mark.parametrize(("model", "count"), [("gpt", 10_770_816), ("gpt2", 124_439_808)], ids=["gpt", "gpt2"])
def test_both_gpts_have_equally_many_parameters(model, count):
    experiment, config, _ = generation_time.network(model, reread=False)
    assert count_parameters(experiment.networks(config, experiment.spec(config))).total == count
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from experiments.bench.peers import hugging_face_generation

    with torch.device("meta"):
        network = hugging_face_generation.network(timing.GENERATORS[model])
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_hugging_face_writes_as_many_tokens_as_asked():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from experiments.bench.peers import hugging_face_generation

    network = hugging_face_generation.network(SMALL)
    texts = hugging_face_generation.write(network, torch.ones((3, 4), dtype=torch.long), 20)
    assert texts.shape == (3, 24)
    assert len(set(texts[:, 4:].flatten().tolist())) == 11  # sampled from all tokens, not the 50 or the first best


def test_bad_batch_sizes_are_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        generation_time.main(["program", "--batch_sizes=1,0"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --batch_sizes=1,0")


@pytest.mark.parametrize(
    "flags",
    [["--model=gpt", "--backend=jax"], ["--backend=hugging_face"], ["--model=gpt2", "--reread"]],
    ids=["keras", "hugging_face", "reread"],
)
def test_flags_of_another_model_are_refused(flags, capsys):
    with pytest.raises(SystemExit, match="2"):
        generation_time.main(["program", *flags])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {flags[-1]}")


def test_the_peer_reads_the_window_again_for_each_word():
    def successors(window):
        return np.eye(50)[(window[:, -1] + window[:, 0]) % 50]

    network, window = types.SimpleNamespace(predict_on_batch=successors), np.array([[1, 2, 3], [7, 8, 9]])
    written = keras_text.write(network, window, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(written, [[4, 6, 9], [16, 24, 33]])
