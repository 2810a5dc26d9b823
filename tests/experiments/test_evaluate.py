"""Runs evaluated again: without a held-out split, from another directory, with another judge."""

import json
import shutil

import pytest

from experiments import classifier, evaluate, gan
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.runs.main import main

TINY = [
    "--steps=2",
    "--batch_size=8",
    "--log_every=2",
    "--eval_every=1",
    "--generator_filters=4,1",
    "--generator_kernel_sizes=3,3",
    "--generator_strides=2,2",
    "--critic_filters=4,4",
    "--critic_kernel_sizes=3,3",
    "--critic_strides=2,2",
]
JUDGED = ["--features=judge", "--judged_samples=40"]


def refused(capsys, run, *flags):
    with pytest.raises(SystemExit, match="2"):
        run(["program", *flags])
    (line,) = (text for text in capsys.readouterr().err.splitlines() if text.startswith("error: "))
    return line


def train(*flags):
    main(gan.EXPERIMENT, "about", ["program", *TINY, *flags])


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Where `judge` is a classifier and `run` a GAN that it judges, by a relative path, with all splits joined."""
    monkeypatch.chdir(tmp_path)
    shape = ["--filters=4", "--kernel_sizes=3", "--strides=4", "--dense_units=4", "--steps=2", "--eval_every=0"]
    main(classifier.EXPERIMENT, "about", ["program", "--workdir=judge", *shape])
    train("--workdir=run", "--join_splits", *JUDGED)
    return tmp_path


def test_a_run_without_a_test_split_is_evaluated_without_one(tmp_path, capsys):
    train(f"--workdir={tmp_path}", "--join_splits")
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [2]
    (tmp_path / "figures" / "samples.png").unlink()
    capsys.readouterr()
    evaluate.main(["program", f"--workdir={tmp_path}"])
    assert capsys.readouterr().err.count("digits has no test split in this run") == 1
    assert (tmp_path / "figures" / "samples.png").exists()
    evaluate.main(["program", f"--workdir={tmp_path}", "--split=train"])
    assert "train/generator_loss" in json.loads((tmp_path / "results.json").read_text())


def test_the_judge_is_found_from_any_directory_and_may_change(judged, monkeypatch, capsys):
    workdir = f"--workdir={judged}/run"

    def judged_by():
        return json.loads((judged / "run" / "results.json").read_text())["samples judged by"]

    assert json.loads((judged / "run" / "flags.json").read_text())["flags"]["features"] == f"{judged}/judge"
    train("--workdir=run", "--join_splits", *JUDGED, "--steps=3")  # resumes with the same command
    monkeypatch.chdir("/")
    capsys.readouterr()
    evaluate.main(["program", workdir])
    assert "samples/fid" in capsys.readouterr().out
    assert "--split=test" in refused(capsys, evaluate.main, workdir, "--split=test")
    again = (workdir, "--join_splits", "--steps=3", "--judged_samples=20", f"--features={judged}/run/../judge")
    train(*again)
    assert "; 20 generated" in judged_by()
    train(*again)
    assert "it has ended" in capsys.readouterr().err
    path = judged / "run" / "results.json"
    path.write_text(path.read_text().replace("; 20 generated", "; 40 generated"))  # as by another judge
    train(*again)
    assert "; 20 generated" in judged_by()
    shutil.rmtree(judged / "judge" / "checkpoints")
    line = refused(capsys, evaluate.main, workdir)
    assert "--features=" in line and "no checkpoint yet" in line and "--workdir" not in line
    (judged / "judge" / "flags.json").unlink()
    line = refused(capsys, evaluate.main, workdir)
    assert "--features=" in line and "holds no run" in line and "--workdir" not in line
