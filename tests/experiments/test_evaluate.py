"""Tests of `evaluate`: without a test split, from another directory, with another feature extractor."""

import json
import shutil

import pytest

from experiments import classifier, evaluate, gan
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.runs.main import main
from tests.runs.programs import finished, refused

QUICK = ["--config=tiny", "--steps=2", "--log_every=2", "--eval_every=1", "--checkpoint_every=2"]
MEASURED = ["--features=classifier", "--judged_samples=40"]


def train(*flags):
    main(gan.EXPERIMENT, "about", ["program", *QUICK, *flags])


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Folder with a classifier, and with a GAN on all splits evaluated by it, given as a relative path."""
    monkeypatch.chdir(tmp_path)
    main(classifier.EXPERIMENT, "about", ["program", "--workdir=classifier", *QUICK])
    train("--workdir=run", "--join_splits", *MEASURED)
    return tmp_path


@pytest.mark.slow
def test_evaluates_without_a_test_split(tmp_path, capsys):
    train(f"--workdir={tmp_path}", "--join_splits")
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [2]
    (tmp_path / "figures" / "samples.png").unlink()
    capsys.readouterr()
    evaluate.main(["program", f"--workdir={tmp_path}"])
    assert capsys.readouterr().err.count("digits has no test split in this run") == 1
    assert (tmp_path / "figures" / "samples.png").exists()
    evaluate.main(["program", f"--workdir={tmp_path}", "--split=train"])
    assert "train/generator_loss" in json.loads((tmp_path / "results.json").read_text())


@pytest.mark.slow
def test_features_may_change_and_are_found_from_anywhere(measured, monkeypatch, capsys):
    workdir = f"--workdir={measured}/run"

    def protocol():
        return json.loads((measured / "run" / "results.json").read_text())["protocol"]["samples"]

    assert json.loads((measured / "run" / "flags.json").read_text())["flags"]["features"] == f"{measured}/classifier"
    train("--workdir=run", "--join_splits", *MEASURED, "--steps=3")  # resumes with the same command
    monkeypatch.chdir("/")
    capsys.readouterr()
    of_40 = protocol()
    evaluate.main(["program", workdir])
    assert "samples/fid" in capsys.readouterr().out
    refused(finished(evaluate.main, workdir, "--split=test"), "--split=test")
    features = f"--features={measured}/run/../classifier"
    evaluate.main(["program", workdir, "--judged_samples=30", features])
    of_30 = protocol()
    assert of_30 != of_40
    again = (workdir, "--join_splits", "--steps=3", "--judged_samples=20", features)
    train(*again)
    of_20 = protocol()
    assert of_20 not in (of_30, of_40)
    train(*again)
    assert "already complete" in capsys.readouterr().err
    path = measured / "run" / "results.json"
    path.write_text(path.read_text().replace(of_20, "by another protocol"))
    train(*again)
    assert protocol() == of_20
    shutil.rmtree(measured / "classifier" / "checkpoints")
    done = finished(evaluate.main, workdir)
    refused(done, "--features=")
    assert "--workdir" not in done.stderr
    (measured / "classifier" / "flags.json").unlink()
    done = finished(evaluate.main, workdir)
    refused(done, "--features=", "flags.json")
    assert "--workdir" not in done.stderr
