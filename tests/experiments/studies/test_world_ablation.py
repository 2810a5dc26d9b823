"""Tests of the comparisons of chapter 8: configs of their runs, and one study up to its table."""

import dataclasses
import json

import pytest

from experiments.studies import world_ablation
from gdl_jax.runs import study
from tests.experiments.studies.configs import configs_of

pytestmark = pytest.mark.slow

SMALL = (
    *("--population=2", "--episodes=2", "--max_steps=5", "--dream_steps=5", "--evaluation_episodes=2"),
    *("--generations=2", "--seeds=2"),
)


def test_variants_differ_only_in_the_compared_flags(world):
    options = world_ablation.Options(world=str(world), generations=12, population=4)
    configs = configs_of(world_ablation.STUDIES["inputs"], options)
    assert {(name, config.controller_inputs, config.untrained_memory) for name, config in configs.items()} == {
        ("z", "z", False),
        ("z_h", "z_h", False),
        ("untrained", "z_h", True),
    }
    dreams = configs_of(world_ablation.STUDIES["temperature"], options)
    assert [config.temperature for config in dreams.values()] == [0.5, 0.75, 1.0, 1.15, 1.3, 1.5]
    assert {config.dream for config in configs.values()} == {False}
    assert {config.dream for config in dreams.values()} == {True}
    for config in (*configs.values(), *dreams.values()):
        assert (config.memory, config.steps, config.batch_size, config.eval_every) == (str(world / "memory"), 12, 4, 3)


def test_from_the_command_line_to_the_table(world, tmp_path):
    experiment = world_ablation.EXPERIMENT
    quick = dataclasses.replace(experiment, preview=lambda run: None, analyse=lambda run: {})
    hottest = world_ablation.TEMPERATURES[-1]._replace(experiment=quick)
    studies = world_ablation.STUDIES | {
        "temperature": dataclasses.replace(world_ablation.STUDIES["temperature"], variants=lambda options: [hottest])
    }
    flags = (f"--world={world}", f"--workdir={tmp_path}", "--study=temperature", *SMALL)
    study.main(studies, "about", ["program", *flags])
    text = (tmp_path / "temperature" / "table.md").read_text()
    for said in (*world_ablation.COLUMNS.values(), "population 2", "dream steps 5"):
        assert said in text
    assert (tmp_path / "temperature" / "ablation.png").exists()
    (results,) = json.loads((tmp_path / "temperature" / "results.json").read_text()).values()
    assert len(results["test/return"]["values"]) == 2


def test_a_missing_world_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        world_ablation.main(["program", f"--world={tmp_path / 'nowhere'}", f"--workdir={tmp_path}"])
    assert "nowhere" in capsys.readouterr().err
