"""Helpers that run programs as a user does, in this process or in another."""

import io
import json
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

from experiments import registry
from gdl_jax.runs.main import main

MACHINERY = ("--steps=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=2")  # a short run with all events


def arguments(workdir, *flags):
    """Returns the flags of a small run, without evaluations during training."""
    return [f"--workdir={workdir}", "--config=tiny", "--eval_every=0", *flags]


def command(workdir, *flags, experiment="vae"):
    """Returns the command line of a small run."""
    return [sys.executable, "-m", f"experiments.{experiment}", *arguments(workdir, *flags)]


def finished(program, *flags):
    """Runs a program's `main` in this process; returns its exit code and output."""
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            program(["program", *flags])
        except SystemExit as left:
            code = left.code
    return subprocess.CompletedProcess(flags, code, out.getvalue(), errors.getvalue())


def train(experiment, *flags):
    """Runs an experiment's command in this process."""
    return finished(partial(main, experiment, "about"), *flags)


def run(workdir, *flags, experiment="vae"):
    """Makes a small run in this process."""
    return train(registry.find(experiment), *arguments(workdir, *flags))


def checkpoint(workdir):
    """Returns the step and the checksums of the newest checkpoint."""
    newest = max((workdir / "checkpoints").iterdir(), key=lambda p: int(p.name))
    return newest.name, json.loads((newest / "meta" / "metadata").read_text())["checksums"]


def wait_for(condition, process, seconds=120):
    """Waits until a condition holds; fails if the process ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refused(done, *texts):
    """Asserts exit code 2 and a single error line that contains the texts."""
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in lines[0], lines[0]
