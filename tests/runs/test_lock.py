"""Tests of the lock on a run's folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.runs.lock import NAME, locked
from tests.source_tree import ROOT

HOLD = """
import sys
from pathlib import Path
from gdl_jax.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock, as if it were training."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_refuses_a_second_process_and_names_the_first(holder, tmp_path):
    with pytest.raises(ConfigError, match=f"workdir=.*process {holder.pid} "), locked(tmp_path / "run"):
        pass


def test_a_killed_process_leaves_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / NAME).exists()


def test_the_lock_ends_with_the_block(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "run"):
            pass


@pytest.mark.parametrize("name", ["file/run", "file", "nul\0", "not_utf8_\udcff", "[2026]/run", "back\\slash"])
def test_names_a_folder_that_cannot_be_created(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="workdir="), locked(tmp_path / name):
        pass


def test_a_relative_path_is_checked_with_its_directory(tmp_path, monkeypatch):
    (tmp_path / "[2026]").mkdir()
    monkeypatch.chdir(tmp_path / "[2026]")
    with pytest.raises(ConfigError, match="workdir="), locked(Path("run")):
        pass
