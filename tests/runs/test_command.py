"""Tests of command lines away from a terminal: closed streams, readers that leave, hang-ups, threads."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from experiments import registry
from gdl_jax.core.loop import Stop
from gdl_jax.core.progress import Progress
from tests.runs.programs import MACHINERY, refused, train
from tests.source_tree import ROOT

PROGRAM = """
import sys
from gdl_jax.runs import command

def main(values):
    sys.stdout.write(f"{len(sys.stdin.read())} characters\\n")
    sys.stdout.flush()
    sys.stderr.write("done\\n")

command.run(main, None, command.new_flags(), sys.argv)
"""


def shell(line):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PROGRAM": PROGRAM}
    command = ["bash", "-c", f'set -o pipefail; "$0" -c "$PROGRAM" {line}', sys.executable]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("flag", ["workdir", "flagfile", "data_dir"])
def test_refuses_the_home_directory_of_an_unknown_user(flag):
    refused(train(registry.find("vae"), f"--{flag}=~no_such_user/x"), f"--{flag}", "~no_such_user/x")


@pytest.mark.parametrize("closed", ["<&-", ">&- </dev/null", "2>&- </dev/null", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    done = shell(closed)
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_a_reader_that_leaves_ends_a_command_quietly():
    done = shell("</dev/null | true")
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_help_needs_no_docstring():
    assert "--verbosity" in shell("--help").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_and_hang_up_request_a_stop(number):
    with Stop() as stop:
        os.kill(os.getpid(), number)
        assert stop.requested


def test_an_ignored_hang_up_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_progress_that_nobody_reads_is_dropped(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        progress = Progress(10)
        progress.say("a line")
        progress.say("another")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@pytest.mark.slow
def test_an_experiment_runs_in_a_thread(tmp_path):
    from experiments.naive_bayes import EXPERIMENT

    done = []
    flags = ["--config=tiny", f"--workdir={tmp_path}", *MACHINERY]
    thread = threading.Thread(target=lambda: done.append(train(EXPERIMENT, *flags)))
    thread.start()
    thread.join()
    assert done[0].returncode == 0, done[0].stderr
