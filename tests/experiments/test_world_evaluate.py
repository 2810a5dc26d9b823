"""An agent in gymnasium's game: what is measured, and what is not measured twice."""

import json

import pytest

from experiments import world_controller, world_evaluate
from experiments.run import main
from tests.experiments import worlds

pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")


def test_from_a_workdir_to_the_numbers(world, tmp_path, capsys, monkeypatch):
    workdir = tmp_path / "controller"
    flags = [f"--workdir={workdir}", *worlds.controller(world), "--steps=2"]
    main(world_controller.EXPERIMENT, "about", ["program", *flags])
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

    monkeypatch.setattr(world_evaluate, "_measure", again)
    world_evaluate.main(argv)
    assert capsys.readouterr().out == printed
    with pytest.raises(AssertionError, match="measured again"):
        world_evaluate.main([*argv, "--seed=5"])
