"""Tests that Ctrl-C prints one line at any time."""

import signal
import subprocess
import sys
import time

import pytest

from tests.runs.programs import command

pytestmark = pytest.mark.slow

IMPORTING = "import experiments; import time; print('now', flush=True); time.sleep(30)"


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.9, 1.6, 2.5])
def test_ctrl_c_while_a_command_is_starting(tmp_path, seconds):
    process = subprocess.Popen(command(tmp_path, "--steps=1000000"), stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    if "KeyboardInterrupt" in errors and "gdl_jax" not in errors:
        pytest.skip("the signal came while Python itself was starting")
    assert process.returncode in (0, 130), errors  # 0: the loop had started; it stopped and saved
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith(("interrupted", "stopped and saved"))


def test_ctrl_c_is_repeated_after_a_callback_that_swallows_it():
    program = """
import os, signal, time
from gdl_jax.runs import interrupts

def _xla_gc_callback():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)

interrupts.raise_on_ctrl_c()
try:
    _xla_gc_callback()
    print("swallowed", flush=True)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert done.stdout.split("\n")[-2] == "interrupted"


def test_an_ignored_ctrl_c_stays_ignored():
    program = """
import signal
from gdl_jax.runs import interrupts

signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupts.raise_on_ctrl_c()
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""
    subprocess.run([sys.executable, "-c", program], check=True)
