"""What every experiment of the registry must do, whatever it trains."""

import dataclasses
import json
import re

import pytest

from experiments import evaluate, registry, sample, summary
from gdl_jax.core import config_flags
from gdl_jax.runs.main import main
from tests.experiments import small_worlds as worlds

SHRUNK = {"steps": 4, "log_every": 2, "eval_every": 4, "checkpoint_every": 2}
SMALL = {  # hyperparameters that make a first preset quick, where it has them
    "encoder_filters": (4, 4, 4, 4),
    "likelihood_samples": 2,
    "likelihood_examples": 2,
    "filters": (4, 4, 4, 4),
    "dense_units": 8,
    "first_filters": 4,
    "generator_filters": (4, 4, 1),
    "critic_filters": (4, 4, 4),
    "batch_size": 8,
}
RECURRENT = {"embedding_size": 4, "hidden_units": 8}
OWN = {  # the same for hyperparameters that mean something else to other experiments
    "text_rnn": RECURRENT | {"sequence_length": 8},
    "qa": {"reader_units": 4, "decoder_units": 8},
    "music_rnn": RECURRENT | {"sequence_length": 8},
    "phrase_rnn": RECURRENT | {"attention_units": 4, "phrase_length": 8, "continuation_length": 4},
    "musegan": {
        "n_critic": 1,
        "temporal_filters": 8,
        "bar_filters": (8, 4),
        "octave_filters": 4,
        "critic_filters": 4,
        "critic_step_filters": (4, 4),
        "critic_step_kernel_sizes": (4, 3),
        "critic_units": 8,
    },
}
COUNTED_FROM_DATA = [("qa", "squad")]  # not bundled, and its vocabulary is part of the network
PRESETS = [(name, preset) for name in registry.NAMES for preset in registry.find(name).presets]


def as_flags(values):
    return [f"--{k}={','.join(map(str, v)) if isinstance(v, tuple | list) else v}" for k, v in values.items()]


@pytest.fixture(scope="module", params=registry.NAMES)
def finished(request, tmp_path_factory):
    """(experiment, workdir) of a short run through the command line."""
    experiment = registry.find(request.param)
    fields = {field.name for field in dataclasses.fields(experiment.config)}
    workdir = tmp_path_factory.mktemp(request.param) / "run"
    if request.param in worlds.FLAGS:
        flags = [*worlds.FLAGS[request.param](request.getfixturevalue("world")), "--steps=4"]
    else:
        small = SHRUNK | SMALL | OWN.get(request.param, {})
        flags = as_flags({k: v for k, v in small.items() if k in fields})
    main(experiment, "about", ["program", f"--workdir={workdir}", *flags])
    return experiment, workdir


def test_a_run_leaves_what_it_should(finished):
    experiment, workdir = finished
    written = json.loads((workdir / "flags.json").read_text())
    assert written["experiment"] == experiment.name
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
    results = json.loads((workdir / "results.json").read_text())
    assert any(name.startswith("test/") for name in results)
    page = (workdir / "report.html").read_text()
    assert page.count("data:image/png;base64") >= 3
    assert not re.search(r'(src|href)="http', page)


def test_it_can_be_evaluated_from_its_workdir_alone(finished, capsys):
    _, workdir = finished
    before = json.loads((workdir / "results.json").read_text())
    evaluate.main(["program", f"--workdir={workdir}"])
    printed = dict(line.rsplit(": ", 1) for line in capsys.readouterr().out.splitlines())
    tested = [name for name in before if name.startswith("test/")]
    assert tested
    for name in tested:
        assert float(printed[name]) == pytest.approx(before[name], rel=1e-3, abs=1e-6), name


def test_it_can_be_sampled_from_its_workdir_alone(finished, capsys):
    experiment, workdir = finished
    if experiment.name == "classifier":
        with pytest.raises(SystemExit, match="2"):
            sample.main(["program", f"--workdir={workdir}"])
        assert "nothing to sample" in capsys.readouterr().err
        return
    sample.main(["program", f"--workdir={workdir}", "--num=4"])
    paths = capsys.readouterr().out.split()
    assert paths
    for path in paths:
        assert (workdir / "samples") in type(workdir)(path).parents


def test_a_finished_run_is_neither_trained_nor_measured_again(finished, capsys):
    experiment, workdir = finished
    flags = json.loads((workdir / "flags.json").read_text())["flags"]
    rows, results = ((workdir / name).read_text() for name in ("metrics.jsonl", "results.json"))
    main(
        experiment, "about", ["program", f"--workdir={workdir}", *as_flags({k: v for k, v in flags.items() if v != ""})]
    )
    printed = capsys.readouterr()
    assert "resuming from step 4" in printed.err and "it has ended" in printed.err
    assert "test/" in printed.out
    assert (workdir / "metrics.jsonl").read_text() == rows
    assert (workdir / "results.json").read_text() == results


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, capsys, finished):
    experiment, _ = finished
    monkeypatch.chdir(tmp_path)
    main(experiment, "about", ["program", "--dry_run"])
    printed = capsys.readouterr().out
    assert "FLOPs a step" in printed
    assert "total parameters: " in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_the_summary_ends_with_the_total(name, preset, capsys, request):
    more = [f"--data_dir={request.getfixturevalue('data_dir')}"] if (name, preset) in COUNTED_FROM_DATA else []
    summary.main(["program", f"--experiment={name}", f"--config={preset}", *more])
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"total parameters: \d+", last)


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_hyperparameter_has_help(name):
    config = registry.find(name).config
    assert set(config_flags.comments(config)) == {field.name for field in dataclasses.fields(config)}


def test_help_shows_the_hyperparameters(capsys):
    main(registry.find("vae"), "about this", ["program", "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith("about this")
    assert re.search(r"--z_dim .*dimensions of the latent space \[2\]", printed)
