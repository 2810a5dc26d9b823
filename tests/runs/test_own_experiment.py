"""Tests of the experiment in README, in a file outside the repository."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.source_tree import ROOT

pytestmark = pytest.mark.slow


def program(*arguments, cwd):
    """Runs Python in another folder and returns its output."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def folder(tmp_path):
    (code,) = re.findall(r"```python\n(# bernoulli_pixels.py.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "bernoulli_pixels.py").write_text(code)
    return tmp_path


def test_trains_resumes_samples_evaluates_and_reports(folder):
    flags = ["--batch_size=64", "--log_every=20", "--eval_every=20", "--checkpoint_every=20"]
    program("bernoulli_pixels.py", "--steps=20", *flags, cwd=folder)
    done = program("bernoulli_pixels.py", "--steps=40", *flags, cwd=folder)
    assert "resuming from step 20" in done.stderr
    workdir = folder / "runs" / "bernoulli_pixels-digits"
    written = json.loads((workdir / "flags.json").read_text())
    assert written["module"] == str(folder / "bernoulli_pixels.py")
    loss = json.loads((workdir / "results.json").read_text())["test/loss"]
    assert loss < 300  # 543 nats if all pixels have probability 1/2
    (folder / "elsewhere").mkdir()
    sampled = program("-m", "experiments.sample", f"--workdir={workdir}", "--num=4", cwd=folder / "elsewhere")
    assert (workdir / "samples" / "samples.png").exists() and "samples.png" in sampled.stdout
    program("-m", "experiments.evaluate", f"--workdir={workdir}", cwd=folder / "elsewhere")
    assert json.loads((workdir / "results.json").read_text())["test/loss"] == pytest.approx(loss, rel=1e-4)
    assert "bernoulli_pixels" in (workdir / "report.html").read_text()


def test_the_python_that_readme_shows(tmp_path):
    blocks = r"```python\n(import gdl_jax.*?|run = .*?)```"
    learner, restore = re.findall(blocks, (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert sum(bool(line.strip()) for line in learner.splitlines()) <= 10
    short = learner.replace("steps=300", "steps=100")
    program("-c", f"{short}assert result.evaluated['validation/loss'] < 300", cwd=tmp_path)
    assert (tmp_path / "runs" / "pixels" / "metrics.jsonl").exists()
    workdir = tmp_path / "runs" / "vae-digits"
    program("-m", "experiments.vae", "--config=tiny", "--steps=2", f"--workdir={workdir}", cwd=tmp_path)
    checks = "assert images.shape == (16, 28, 28, 1) and losses.shape == (len(run.data.test),)"
    program("-c", f"import gdl_jax\n{restore}{checks}", cwd=tmp_path)


def test_names_the_missing_file_of_an_experiment(folder):
    program("bernoulli_pixels.py", "--steps=2", cwd=folder)
    (folder / "bernoulli_pixels.py").unlink()
    workdir = folder / "runs" / "bernoulli_pixels-digits"
    arguments = [sys.executable, "-m", "experiments.sample", f"--workdir={workdir}"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "bernoulli_pixels.py" in done.stderr and "Traceback" not in done.stderr
