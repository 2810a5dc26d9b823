"""Tests of MuseNet from the command line: numbers, samples by composer, and clear errors."""

import json

import numpy as np
import pytest

from experiments import musenet, sample
from gdl_jax.data.music.performances import INSTRUMENTS, as_performance, read_midi, write_midi
from gdl_jax.runs.main import main


def train(workdir, *flags):
    main(musenet.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a tiny run of the bundled composers."""
    workdir = tmp_path_factory.mktemp("musenet") / "run"
    train(workdir, "--config=tiny")
    return workdir


def sampled(workdir, out, *flags):
    sample.main(["sample", f"--workdir={workdir}", f"--out={out}", "--num=2", "--tokens=60", *flags])
    return [read_midi(path) for path in sorted(out.glob("sample_*.mid"))]


@pytest.mark.slow
def test_predicts_better_than_frequencies_and_measures_its_pieces(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["validation/loss"] < results["unigram/validation_loss"] - 0.2
    assert 0 <= results["samples/copied_share"] <= 1 and results["held_out/copied_share"] > 0
    assert results["real_pieces/composer_found"] > 1 / 6 and 0 <= results["samples/composer_found"] <= 1
    assert results["real_pieces/share_in_one_scale"] > 0.9


@pytest.mark.slow
def test_composes_for_instruments_and_continues_a_piece(finished, tmp_path):
    pieces = sampled(finished, tmp_path / "a", "--composer=mozart", "--instruments=violin,cello")
    assert len(pieces) == 2
    start = as_performance([(40 * n, 30, 60 + n, 80, INSTRUMENTS.index("flute")) for n in range(4)])
    write_midi(start, tmp_path / "start.mid")
    for piece in sampled(finished, tmp_path / "b", f"--start={tmp_path / 'start.mid'}"):
        flutes = piece[piece[:, 4] == INSTRUMENTS.index("flute")]
        np.testing.assert_array_equal(flutes[:4, 2], start[:, 2])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--composer=elvis", "--composer=elvis"),
        ("--instruments=kazoo", "--instruments=kazoo"),
        ("--start=/nowhere.mid", "/nowhere.mid"),
        ("--top_p=2", "--top_p=2"),
    ],
)
def test_bad_requests_are_one_line(finished, tmp_path, capsys, flag, named):
    with pytest.raises(SystemExit, match="2"):
        sampled(finished, tmp_path, flag)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert named in line


@pytest.mark.slow
def test_chorales_on_a_grid_and_sparse_attention_train(tmp_path):
    flags = ("--dataset=corpus_chorales", "--encoding=grid", "--attention=fixed", "--attention_stride=8")
    train(tmp_path / "run", "--config=tiny", *flags, "--attention_summary=4", "--steps=20", "--eval_every=0")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["previous_step/test_loss"] < results["unigram/test_loss"]
    assert len(sampled(tmp_path / "run", tmp_path / "out")) > 0
