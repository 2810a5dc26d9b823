"""The comparison of chapter 4's losses: from the command line to the table, and what it may call finished."""

import json
import shutil

import numpy as np
import pytest

from experiments import classifier
from experiments.studies import gan_ablation
from gdl_jax.runs import main as run
from gdl_jax.runs.main import main

SMALL = (
    "--z_dim=4",
    "--first_filters=2",
    "--generator_filters=2,1",
    "--generator_kernel_sizes=3,3",
    "--generator_strides=2,2",
    "--critic_filters=2,2",
    "--critic_kernel_sizes=3,3",
    "--critic_strides=2,2",
    "--judged_samples=20",
)
JUDGE = ("--steps=30", "--filters=4", "--kernel_sizes=3", "--strides=2", "--dense_units=8", "--eval_every=0")


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("judge") / "run"
    main(classifier.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *JUDGE])
    return workdir


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(gan_ablation, "NETWORKS", SMALL)
    monkeypatch.setattr(gan_ablation, "VARIANTS", gan_ablation.VARIANTS[:2])
    monkeypatch.setattr(gan_ablation, "LOG_ROWS", 5)


def compare(workdir, judge, *flags):
    gan_ablation.main(["program", f"--workdir={workdir}", f"--features={judge}", "--seeds=2", *flags])


def rows_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").open()]


def test_from_the_command_line_to_the_table(tmp_path, judge, small, capsys):
    compare(tmp_path, judge, "--critic_updates=50")
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out
    header, _, *lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (header, *lines)]
    for column in ("FID", "modes covered", "classifier score", "FID's unrest"):
        assert column in cells[0]
        where = cells[0].index(column)
        assert all("±" in line[where] for line in cells[1:3])
    assert [line[0] for line in cells[1:3]] == ["GAN", "WGAN"]
    assert (tmp_path / "ablation.png").exists()
    measured = json.loads((tmp_path / "results.json").read_text())
    assert len(measured["WGAN"]["unrest"]["values"]) == 2
    logged = {}
    for name, steps in (("gan", 50), ("wgan", 10)):
        logged[name] = [row["step"] for row in rows_of(tmp_path / name) if "train/generator_loss" in row]
        assert logged[name][-1] == steps
    assert logged["gan"][0] == logged["wgan"][0]  # a row averages as many updates of the generator

    with pytest.raises(SystemExit, match="2"):
        compare(tmp_path, judge, "--critic_updates=25")
    assert "has made 50 updates already" in capsys.readouterr().err


def test_results_of_fewer_steps_are_not_those_of_a_run_that_was_stopped(tmp_path, judge, monkeypatch):
    workdir = tmp_path / "run"
    shutil.copytree(judge, workdir)
    assert (workdir / "results.json").exists()

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.loop, "train", killed)
    flags = [flag for flag in JUDGE if not flag.startswith("--steps")]
    with pytest.raises(SystemExit, match="130"):
        main(classifier.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags, "--steps=40"])
    assert not (workdir / "results.json").exists()


def test_unrest_is_about_the_trend_of_the_second_half():
    steps = np.arange(0, 110, 10)
    rng = np.random.default_rng(0)
    assert gan_ablation.unrest(steps, [999, 5, 700, 3, 2, 60, 50, 40, 30, 20, 10]) == pytest.approx(0, abs=1e-9)
    many = [gan_ablation.unrest(steps, 100 - 0.5 * steps + rng.normal(0, 3, 11)) for _ in range(500)]
    assert np.sqrt(np.mean(np.square(many))) == pytest.approx(3 / 62.5, rel=0.1)


def test_real_images_get_a_line_and_what_was_not_measured_no_column():
    spread = {"mean": 2.0, "std": 0.5}
    numbers = {"samples/fid": spread, "unrest": spread, "training_minutes": 1.0, "real images/fid": 0.25}
    lines = gan_ablation.table({"GAN": numbers}).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["loss", "FID", "FID's unrest", "minutes"]
    assert [cell.strip() for cell in lines[-1].strip("|").split("|")] == ["real images", "0.25", "", ""]
