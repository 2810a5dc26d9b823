"""Tests of results.json: when results are kept, recomputed or deleted."""

import json
import shutil

import pytest

from experiments import evaluate
from gdl_jax.runs import records
from tests.runs.programs import checkpoint, finished, refused, run

STEPS = ("--steps=4", "--log_every=2", "--likelihood_examples=4")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    done = run(workdir, *STEPS)
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(trained, tmp_path / "run")


def results(workdir):
    return json.loads((workdir / "results.json").read_text())


@pytest.mark.slow
def test_keeps_later_measurements_until_training_continues(workdir):
    assert finished(evaluate.main, f"--workdir={workdir}", "--split=train").returncode == 0
    records.add_results(workdir, {"elsewhere/return": 7.0, "protocol": {"elsewhere": "once"}})
    kept = {"train/loss", "elsewhere/return"}
    assert "already complete" in run(workdir, *STEPS, "--checkpoint_every=3").stderr  # no result depends on it
    assert kept <= results(workdir).keys()
    assert run(workdir, *STEPS, "--likelihood_samples=3").returncode == 0  # measured again
    assert kept <= results(workdir).keys()
    assert results(workdir)["protocol"]["elsewhere"] == "once"
    assert run(workdir, *STEPS, "--steps=6").returncode == 0
    assert not kept & results(workdir).keys()


@pytest.mark.slow
def test_records_an_evaluation_with_other_flags(workdir):
    before = results(workdir)["log_likelihood_bound"]
    assert finished(evaluate.main, f"--workdir={workdir}", "--likelihood_samples=20").returncode == 0
    after = results(workdir)
    assert after["protocol"]["evaluation"] == {"likelihood_samples": 20}
    assert after["log_likelihood_bound"] != before
    assert "already complete" not in run(workdir, *STEPS).stderr
    assert "evaluation" not in results(workdir)["protocol"]
    assert results(workdir)["log_likelihood_bound"] == pytest.approx(before, rel=1e-4)


@pytest.mark.slow
def test_refuses_an_evaluation_flag_without_effect(workdir):
    refused(finished(evaluate.main, f"--workdir={workdir}", "--beams=3"), "beams")


@pytest.mark.slow
def test_the_end_of_a_schedule_is_fixed_on_resume(tmp_path):
    cosine = (*STEPS, "--schedule=cosine")
    assert run(tmp_path, *cosine).returncode == 0
    before = checkpoint(tmp_path)
    refused(run(tmp_path, *cosine, "--steps=8"), "steps was 4")
    assert checkpoint(tmp_path) == before
    fixed = (*cosine, "--decay_steps=10")
    assert run(tmp_path / "fixed", *fixed).returncode == 0
    assert run(tmp_path / "fixed", *fixed, "--steps=8").returncode == 0


def test_refuses_impossible_flags_before_writing_anything(tmp_path):
    refused(run(tmp_path / "a", *STEPS, "--accumulate=5"), "--accumulate=5")
    refused(run(tmp_path / "b", "--patience=2", "--eval_every=2", experiment="gan"), "--patience=2")
    refused(run(tmp_path / "c", *STEPS, "--decay_steps=7"), "--decay_steps=7", "schedule")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_refuses_broken_modules_and_flags_of_the_wrong_type(workdir):
    path = workdir / "flags.json"
    saved = json.loads(path.read_text())
    (workdir / "random.py").write_text("this is no Python")
    changes = {"random.py": {"module": str(workdir / "random.py")}, "no.such.module": {"module": "no.such.module"}}
    for named, change in (changes | {"steps='many'": {"flags": {"steps": "many"}}}).items():
        path.write_text(json.dumps(saved | change))
        refused(finished(evaluate.main, f"--workdir={workdir}"), named)
