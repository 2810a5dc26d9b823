"""An agent in gymnasium's game: what is measured, and what is not measured twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from experiments.worlds import evaluate as world_evaluate
from gdl_jax.runs import command
from tests.core.parallel_worker import environment

pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")


def stop_after(calls, made):
    """A `leave_if_asked` that is asked to stop after so many calls; they are `made`."""

    def leave_if_asked(stop):
        made.append(stop)
        if len(made) > calls:
            raise command.Stopped

    return leave_if_asked


def test_a_signal_to_all_processes_ends_all_in_one_line(driver, tmp_path):
    """As a scheduler sends it, and a terminal Ctrl-C: games know nothing of it, and who plays them ends them."""
    workdir = shutil.copytree(driver, tmp_path / "controller")
    argv = [sys.executable, "-m", "experiments.worlds.evaluate", f"--workdir={workdir}", "--games=2", "--max_steps=20"]
    pipes = {"stderr": subprocess.PIPE, "text": True, "env": environment(1)}
    process = subprocess.Popen([*argv, "--episodes=1000"], start_new_session=True, **pipes)
    while not (workdir / "gymnasium_unfinished.json").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors.strip().splitlines()[-1] == "stopped; the same command goes on"
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def test_from_a_workdir_to_the_numbers(driver, tmp_path, capsys, monkeypatch):
    workdir = shutil.copytree(driver, tmp_path / "controller")
    capsys.readouterr()
    argv = ["program", f"--workdir={workdir}", "--episodes=3", "--games=2", "--max_steps=8"]
    world_evaluate.main(argv)
    printed = capsys.readouterr().out
    results = json.loads((workdir / "gymnasium.json").read_text())
    for name in ("gymnasium", "gdl_jax"):
        assert len(results[name]["values"]) == 3
        # a track of N tiles: 2000 / N for the two that the car starts on, less a tenth a step
        assert all(2000 / 400 - 0.8 < value < 3000 / 200 for value in results[name]["values"])
        assert f"{name}: {results[name]['mean']:.6g}" in printed
    assert results["mean steps in gymnasium"] == 8
    assert results["protocol"]["generations"] == 2 and results["protocol"]["max_steps"] == 8

    def again(*arguments):
        raise AssertionError("measured again")

    after = 8 + 1 + 1  # a round's steps, the round, a step of the next
    monkeypatch.setattr(world_evaluate.command, "leave_if_asked", stop_after(after, made := []))
    with pytest.raises(SystemExit, match=r"^0$"):
        world_evaluate.main([*argv, "--seed=1"])
    assert len(made) == 11
    assert "stopped; the same command goes on" in capsys.readouterr().err
    unfinished = json.loads((workdir / "gymnasium_unfinished.json").read_text())
    assert len(unfinished["returns"]) == 2
    assert json.loads((workdir / "gymnasium.json").read_text()) == results
    monkeypatch.setattr(world_evaluate.command, "leave_if_asked", stop_after(99, made := []))
    world_evaluate.main([*argv, "--seed=1"])
    assert len(made) == 9  # of the other episode only
    monkeypatch.undo()
    went_on = json.loads((workdir / "gymnasium.json").read_text())
    (workdir / "gymnasium.json").unlink()
    world_evaluate.main([*argv, "--seed=1"])
    assert json.loads((workdir / "gymnasium.json").read_text()) == went_on
    assert went_on["gymnasium"]["values"][:2] == unfinished["returns"]
    assert not (workdir / "gymnasium_unfinished.json").exists()
    page = (workdir / "report.html").read_text()
    assert "gymnasium&#x27;s game, 3 episodes of at most 8 steps after 2 generations" in page

    world_evaluate.main(argv)
    capsys.readouterr()
    monkeypatch.setattr(world_evaluate, "_measure", again)
    world_evaluate.main(argv)
    assert capsys.readouterr().out == printed
    with pytest.raises(AssertionError, match="measured again"):
        world_evaluate.main([*argv, "--seed=5"])
