"""The comparisons of chapter 8: from the command line to the table."""

import json

import pytest

from experiments.studies import world_ablation

SMALL = (
    "--population=2",
    "--episodes=2",
    "--max_steps=5",
    "--dream_steps=5",
    "--evaluation_episodes=2",
    "--generations=2",
    "--seeds=2",
)


def compare(world, workdir, *flags):
    world_ablation.main(["program", f"--world={world}", f"--workdir={workdir}", *SMALL, *flags])


def test_from_the_command_line_to_the_table(world, tmp_path, capsys, monkeypatch):
    few = {name: (variants[0], variants[-1]) for name, variants in world_ablation.STUDIES.items()}
    monkeypatch.setattr(world_ablation, "STUDIES", few)
    for study, column in (("inputs", "return in the game"), ("temperature", "in the dream")):
        compare(world, tmp_path, f"--study={study}")
        text = (tmp_path / study / "table.md").read_text()
        assert text in capsys.readouterr().out
        rows = [line for line in text.splitlines() if line.startswith("|")]
        header, _, *lines = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
        where = header.index(column)
        assert [line[0] for line in lines] == [variant.label for variant in few[study]]
        assert all("±" in line[where] for line in lines)
        assert "2 searches" in text
        assert (tmp_path / study / "ablation.png").exists()
        measured = json.loads((tmp_path / study / "results.json").read_text())
        assert all(len(each["test/return"]["values"]) == 2 for each in measured.values())
    flags = json.loads((tmp_path / "inputs" / "untrained" / "flags.json").read_text())["flags"]
    assert flags["untrained_memory"] and not flags["dream"]
    flags = json.loads((tmp_path / "temperature" / "temperature_1.5" / "flags.json").read_text())["flags"]
    assert flags["dream"] and flags["temperature"] == 1.5


def test_one_seed_has_no_spread(world, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        compare(world, tmp_path, "--seeds=1")
    assert "--seeds=1" in capsys.readouterr().err


def test_a_world_that_is_not_there_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        compare(tmp_path / "nowhere", tmp_path)
    assert "nowhere" in capsys.readouterr().err
