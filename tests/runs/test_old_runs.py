"""Tests that run folders written by earlier versions can still be read."""

import json
import shutil
from pathlib import Path

import pytest

from experiments import evaluate, sample, wgan
from tests.runs.programs import finished, train

pytestmark = pytest.mark.slow

OLD = Path(__file__).with_name("old_run")


@pytest.fixture
def workdir(tmp_path):
    return Path(shutil.copytree(OLD, tmp_path / "run"))


def test_samples_and_evaluates_an_old_run(workdir):
    done = finished(sample.main, f"--workdir={workdir}", "--num=4")
    assert done.returncode == 0, done.stderr
    before = json.loads((workdir / "results.json").read_text())
    done = finished(evaluate.main, f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    after = json.loads((workdir / "results.json").read_text())
    for name in ("test/critic_loss", "test/generator_loss"):
        assert after[name] == pytest.approx(before[name], rel=1e-4, abs=1e-7)


def test_resumes_an_old_run(workdir):
    saved = json.loads((OLD / "flags.json").read_text())
    arguments = [f"--{name}={_as_flag(value)}" for name, value in saved["flags"].items() if value not in ("", None)]
    done = train(wgan.EXPERIMENT, f"--workdir={workdir}", *arguments, "--steps=8")
    assert done.returncode == 0, done.stderr
    assert "resuming from step 6" in done.stderr
    written = json.loads((workdir / "flags.json").read_text())
    assert written["module"] == "experiments.wgan"


def _as_flag(value):
    return ",".join(map(str, value)) if isinstance(value, list) else value
