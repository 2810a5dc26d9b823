"""Tests of the generation benchmark on a small network, and of the Keras peer."""

import dataclasses
import json
import types

import numpy as np
import pytest

from experiments import text_rnn
from experiments.bench import generation_time
from experiments.bench.peers import keras_text


@pytest.mark.slow
def test_rates_count_the_tokens_of_all_texts(monkeypatch, capsys):
    small = dataclasses.replace(text_rnn.PRESETS["aesop"], embedding_size=4, hidden_units=4)
    monkeypatch.setitem(text_rnn.PRESETS, "aesop", small)
    monkeypatch.setattr(generation_time, "TOKENS", 5)
    clock = iter(range(0, 1000, 2))
    ticking = types.SimpleNamespace(perf_counter=lambda: float(next(clock)))  # each window takes 2 s
    monkeypatch.setattr(generation_time, "time", ticking)
    gates, build = [], text_rnn.build
    monkeypatch.setattr(
        text_rnn, "build", lambda config, *more: gates.append(config.recurrent_activation) or build(config, *more)
    )
    generation_time.main(["program", "--batch_sizes=1,3", "--windows=1"])
    assert set(gates) == {"sigmoid"}  # the peer's, not the book's
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["texts"], row["tokens_per_second"]) for row in rows] == [(1, 2.5), (3, 7.5)]


def test_bad_batch_sizes_are_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        generation_time.main(["program", "--batch_sizes=1,0"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --batch_sizes=1,0")


def test_the_peer_reads_the_window_again_for_each_word():
    def successors(window):
        return np.eye(50)[(window[:, -1] + window[:, 0]) % 50]

    network, window = types.SimpleNamespace(predict_on_batch=successors), np.array([[1, 2, 3], [7, 8, 9]])
    written = keras_text.write(network, window, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(written, [[4, 6, 9], [16, 24, 33]])
