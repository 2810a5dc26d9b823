"""Programs as a user starts them: in this process where that is enough, in one of their own where it is not."""

import io
import json
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

from experiments import registry
from gdl_jax.runs.main import main

MACHINERY = ("--steps=4", "--log_every=2", "--eval_every=4", "--checkpoint_every=2")  # where only it is tested


def arguments(workdir, *flags):
    """The flags of a small run, without evaluations while it trains."""
    return [f"--workdir={workdir}", "--config=tiny", "--eval_every=0", *flags]


def command(workdir, *flags, experiment="vae"):
    """The command line of such a run."""
    return [sys.executable, "-m", f"experiments.{experiment}", *arguments(workdir, *flags)]


def finished(program, *flags):
    """What a program's `main` leaves in this process, as a process of its own would."""
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            program(["program", *flags])
        except SystemExit as left:
            code = left.code
    return subprocess.CompletedProcess(flags, code, out.getvalue(), errors.getvalue())


def train(experiment, *flags):
    """What an experiment's command leaves in this process."""
    return finished(partial(main, experiment, "about"), *flags)


def run(workdir, *flags, experiment="vae"):
    """A small run in this process."""
    return train(registry.find(experiment), *arguments(workdir, *flags))


def checkpoint(workdir):
    """The step and the arrays' checksums of the newest checkpoint."""
    newest = max((workdir / "checkpoints").iterdir(), key=lambda p: int(p.name))
    return newest.name, json.loads((newest / "meta" / "metadata").read_text())["checksums"]


def wait_for(condition, process, seconds=120):
    """Waits until a condition holds, while the process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refused(done, *texts):
    """Asserts exit code 2 and one line with these texts."""
    assert done.returncode == 2, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in lines[0], lines[0]
