"""Tests of the evaluation in gymnasium's game: results, resumption, and no repeated measurement."""

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

pytestmark = pytest.mark.slow

pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")


def stop_after(calls, made):
    """Returns a `stop_if_requested` that stops after some number of calls, and appends each call to `made`."""

    def stop_if_requested(stop):
        made.append(stop)
        if len(made) > calls:
            raise command.Stopped

    return stop_if_requested


def test_a_signal_to_all_processes_ends_in_one_line(driver, tmp_path):
    """As sent by a scheduler, or by Ctrl-C in a terminal: games ignore it, and their parent ends them."""
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
    assert "rerun the same command" in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def results_of(workdir):
    return json.loads((workdir / "results.json").read_text())


def test_from_a_workdir_to_the_numbers(driver, tmp_path, capsys, monkeypatch):
    workdir = shutil.copytree(driver, tmp_path / "controller")
    trained = results_of(workdir)
    capsys.readouterr()
    argv = ["program", f"--workdir={workdir}", "--episodes=3", "--games=2", "--max_steps=8"]
    world_evaluate.main(argv)
    printed = capsys.readouterr().out
    results = results_of(workdir)
    assert trained.items() <= results.items()
    for name in ("gymnasium/return", "gdl_jax/return"):
        assert len(results[name]["values"]) == 3
        # a track of N tiles: 2000 / N for the two that the car starts on, less a tenth a step
        assert all(2000 / 400 - 0.8 < value < 3000 / 200 for value in results[name]["values"])
        assert f"{name}: {results[name]['mean']:.6g}" in printed
    assert results["gymnasium/steps"] == 8
    protocol = results["protocol"]["gymnasium"]
    assert protocol["generations"] == 2 and protocol["max_steps"] == 8
    page = (workdir / "report.html").read_text()
    assert f"{results['gymnasium/return']['mean']:.4g}" in page and protocol["controller"] in page

    after = 8 + 1 + 1  # a round's steps, the round, a step of the next
    monkeypatch.setattr(world_evaluate.command, "stop_if_requested", stop_after(after, made := []))
    with pytest.raises(SystemExit, match=r"^0$"):
        world_evaluate.main([*argv, "--seed=1"])
    assert len(made) == 11
    assert "rerun the same command" in capsys.readouterr().err
    unfinished = json.loads((workdir / "gymnasium_unfinished.json").read_text())
    assert len(unfinished["returns"]) == 2
    assert results_of(workdir) == results
    monkeypatch.setattr(world_evaluate.command, "stop_if_requested", stop_after(99, made := []))
    world_evaluate.main([*argv, "--seed=1"])
    assert len(made) == 9  # for the missing episode only
    monkeypatch.undo()
    resumed = results_of(workdir)
    assert resumed["gymnasium/return"]["values"][:2] == unfinished["returns"]
    assert not (workdir / "gymnasium_unfinished.json").exists()
    (workdir / "results.json").write_text(json.dumps(trained))
    world_evaluate.main([*argv, "--seed=1"])
    assert results_of(workdir) == resumed


def test_existing_results_are_not_measured_again(driver, tmp_path, capsys, monkeypatch):
    workdir = shutil.copytree(driver, tmp_path / "controller")
    argv = ["program", f"--workdir={workdir}", "--episodes=2", "--games=2", "--max_steps=4"]
    capsys.readouterr()
    world_evaluate.main(argv)
    printed = capsys.readouterr().out

    def again(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(world_evaluate, "measure", again)
    world_evaluate.main(argv)
    assert capsys.readouterr().out == printed
    with pytest.raises(AssertionError, match="measured again"):
        world_evaluate.main([*argv, "--seed=5"])
    results = results_of(workdir)
    results["protocol"]["gymnasium"]["controller"] = "an earlier one"
    (workdir / "results.json").write_text(json.dumps(results))
    with pytest.raises(AssertionError, match="measured again"):
        world_evaluate.main(argv)


def test_a_standard_deviation_needs_two_episodes(driver, capsys):
    with pytest.raises(SystemExit, match="2"):
        world_evaluate.main(["program", f"--workdir={driver}", "--episodes=1"])
    assert "--episodes=1" in capsys.readouterr().err
