"""The experiment that README shows, in a file outside the repository."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.source_tree import ROOT

pytestmark = pytest.mark.slow


def program(*arguments, cwd):
    """What a program leaves that is started in another folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def folder(tmp_path):
    (code,) = re.findall(r"```python\n(# bernoulli_pixels.py.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "bernoulli_pixels.py").write_text(code)
    return tmp_path


def test_it_trains_resumes_and_is_sampled_evaluated_and_reported(folder):
    flags = ["--batch_size=64", "--log_every=20", "--eval_every=20", "--checkpoint_every=20"]
    program("bernoulli_pixels.py", "--steps=20", *flags, cwd=folder)
    done = program("bernoulli_pixels.py", "--steps=40", *flags, cwd=folder)
    assert "resuming from step 20" in done.stderr
    workdir = folder / "runs" / "bernoulli_pixels-digits"
    written = json.loads((workdir / "flags.json").read_text())
    assert written["module"] == str(folder / "bernoulli_pixels.py")
    loss = json.loads((workdir / "results.json").read_text())["test/loss"]
    assert loss < 300  # 543 nats before any learning, all pixels as probable as not
    (folder / "elsewhere").mkdir()
    sampled = program("-m", "experiments.sample", f"--workdir={workdir}", "--num=4", cwd=folder / "elsewhere")
    assert (workdir / "samples" / "samples.png").exists() and "samples.png" in sampled.stdout
    program("-m", "experiments.evaluate", f"--workdir={workdir}", cwd=folder / "elsewhere")
    assert json.loads((workdir / "results.json").read_text())["test/loss"] == pytest.approx(loss, rel=1e-4)
    assert "bernoulli_pixels" in (workdir / "report.html").read_text()


def test_a_run_whose_experiment_is_gone_says_so(folder):
    program("bernoulli_pixels.py", "--steps=2", cwd=folder)
    (folder / "bernoulli_pixels.py").unlink()
    workdir = folder / "runs" / "bernoulli_pixels-digits"
    arguments = [sys.executable, "-m", "experiments.sample", f"--workdir={workdir}"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "bernoulli_pixels.py" in done.stderr and "Traceback" not in done.stderr
