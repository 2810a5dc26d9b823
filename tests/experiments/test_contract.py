"""Contract of every experiment in the registry, tested with the preset `tiny` from the command line."""

import dataclasses
import json
import re

import pytest

from experiments import evaluate, registry, sample, summary
from gdl_jax.core import config_flags
from tests.experiments import small_worlds
from tests.runs.programs import MACHINERY, finished, train

# Not bundled; the vocabulary decides the network's size.
COUNTED_FROM_DATA = [
    ("qa", "squad"),
    *(("transformer", name) for name in ("multi30k_joint", "base", "big")),
]
PRESETS = [(name, preset) for name in registry.NAMES for preset in registry.find(name).presets]


QUICK = ("naive_bayes", "vae", "gan")  # all others are marked slow


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in registry.NAMES],
)
def trained(request, tmp_path_factory):
    """Experiment, workdir and flags of a short run from the command line."""
    experiment = registry.find(request.param)
    workdir = tmp_path_factory.mktemp(request.param) / "run"
    flags = [f"--workdir={workdir}", "--config=tiny", *MACHINERY]
    if request.param in small_worlds.FLAGS:
        flags += small_worlds.FLAGS[request.param](request.getfixturevalue("world"))
    done = train(experiment, *flags)
    assert done.returncode == 0, done.stderr
    return experiment, workdir, flags


def test_a_run_writes_its_files(trained):
    experiment, workdir, _ = trained
    written = json.loads((workdir / "flags.json").read_text())
    assert written["experiment"] == experiment.name
    assert registry.MODULES[experiment.name] == written["module"]
    assert set(written["flags"]) == {field.name for field in dataclasses.fields(experiment.config)}
    assert {"versions", "commit", "command", "device"} <= set(written)
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").open()]
    assert [row["step"] for row in rows if any(name.startswith("train/") for name in row)] == [2, 4]
    assert any(key.split("/")[0] in ("validation", "test") for key in rows[-1])
    assert list((workdir / "tensorboard").glob("events*"))
    assert (workdir / "checkpoints" / "4").is_dir()
    pictures = sorted(path.name for path in (workdir / "figures").glob("*.png"))
    assert "curves.png" in pictures
    assert len(pictures) >= 3
    page = (workdir / "report.html").read_text()
    assert page.count("data:image/png;base64") >= 3
    assert not re.search(r'(src|href)="http', page)


def test_results_have_snake_case_names(trained):
    _, workdir, _ = trained
    results = json.loads((workdir / "results.json").read_text())
    assert any(name.startswith("test/") for name in results)
    assert "training_minutes" in results
    for name in (*results, *results.get("protocol", {})):
        assert re.fullmatch(r"[a-z][a-z0-9_]*(/[a-z0-9_]+)?", name), name


def test_evaluates_from_its_workdir_alone(trained):
    _, workdir, _ = trained
    before = json.loads((workdir / "results.json").read_text())
    printed = dict(line.rsplit(": ", 1) for line in finished(evaluate.main, f"--workdir={workdir}").stdout.splitlines())
    tested = [name for name in before if name.startswith("test/")]
    assert tested
    for name in tested:
        assert float(printed[name]) == pytest.approx(before[name], rel=1e-3, abs=1e-6), name


def test_samples_from_its_workdir_alone(trained):
    experiment, workdir, _ = trained
    done = finished(sample.main, f"--workdir={workdir}", "--num=4")
    if experiment.sampler is None:
        assert done.returncode == 2
        return
    assert done.returncode == 0, done.stderr
    paths = done.stdout.split()
    assert paths
    for path in paths:
        assert (workdir / "samples") in type(workdir)(path).parents


def test_a_finished_run_is_neither_trained_nor_measured_again(trained):
    experiment, workdir, flags = trained
    rows, results = ((workdir / name).read_text() for name in ("metrics.jsonl", "results.json"))
    done = train(experiment, *flags)
    assert "resuming from step 4" in done.stderr and "already complete" in done.stderr
    assert "test/" in done.stdout
    assert (workdir / "metrics.jsonl").read_text() == rows
    assert (workdir / "results.json").read_text() == results


@pytest.mark.parametrize("name", QUICK)
def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, name):
    experiment = registry.find(name)
    monkeypatch.chdir(tmp_path)
    printed = train(experiment, "--dry_run", "--config=tiny").stdout
    assert "FLOPs per step" in printed
    assert "total parameters: " in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_summary_ends_with_the_total(name, preset, request):
    more = [f"--data_dir={request.getfixturevalue('data_dir')}"] if (name, preset) in COUNTED_FROM_DATA else []
    done = finished(summary.main, f"--experiment={name}", f"--config={preset}", *more)
    assert re.fullmatch(r"total parameters: \d+", done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_hyperparameter_has_help(name):
    config = registry.find(name).config
    assert set(config_flags.comments(config)) == {field.name for field in dataclasses.fields(config)}


def test_help_shows_the_hyperparameters():
    printed = train(registry.find("vae"), "--help").stdout
    assert printed.startswith("about")
    assert re.search(r"--z_dim .*dimensions of the latent space \[2\]", printed)
