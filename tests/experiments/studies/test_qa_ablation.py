"""The comparison of decoders: which runs it asks for, and the table that it makes of what they measured."""

import json

import numpy as np
import pytest
from absl import flags

from experiments import qa
from experiments.language import question_answering as asking
from experiments.studies import qa_ablation
from gdl_jax.core import config_flags
from gdl_jax.data.text import questions


@pytest.fixture(scope="module")
def measured():
    """Numbers of who asks as people do, by their names in results.json."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "BULLETINS", 60)
        data = questions.load("bulletins", lengths=questions.Lengths(80, 16, 4))
    tags = {name: asking.passages(getattr(data, name))["answer_labels"] * 1.0 for name in ("validation", "test")}
    drawn = asking.Drawn(**tags, questions=data.test.take(np.arange(len(data.test)))["question"])
    judge = asking.judge(qa.PRESETS["small"], data)
    return judge.of_samples(drawn) | {"test/word_loss": 2.0}, judge.reference


@pytest.fixture
def asked_for(measured, monkeypatch):
    """The configs of the runs; each ends at once with the same numbers, a hundredth higher for the next replica."""
    configs = {}

    def finished(program, experiment, workdir, steps, *arguments):
        values = flags.FlagValues()
        flags.DEFINE_string("config", "", "", flag_values=values)
        config_flags.define(experiment.presets["small"], values)
        values([program, f"--steps={steps}", *arguments])
        configs[workdir.name] = qa.Config(**config_flags.chosen(experiment.config, values))
        samples, reference = measured
        results = {name: {"mean": value, "std": 0.01, "values": [value] * 2} for name, value in samples.items()}
        workdir.mkdir(parents=True)
        row = {"step": 5, "validation/word_loss": 2.0} | samples
        (workdir / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        results |= reference | {"training_minutes": 0.5, "samples judged by": "who asks as people do"}
        (workdir / "results.json").write_text(json.dumps(results))
        return workdir

    monkeypatch.setattr(qa_ablation, "finished", finished)
    return configs


def test_three_decoders_in_one_table(asked_for, tmp_path, capsys):
    qa_ablation.main(["program", f"--workdir={tmp_path}", "--steps=7", "--seeds=2", "--eval_every=3"])
    assert {name: (c.attention, c.copy) for name, c in asked_for.items()} == {
        "plain": (False, False),
        "attention": (True, False),
        "copy": (True, True),
    }
    assert {(c.steps, c.seeds, c.eval_every) for c in asked_for.values()} == {(7, 2, 3)}
    text = (tmp_path / "table.md").read_text()
    assert text in capsys.readouterr().out
    header, _, *lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    found = {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    assert list(found) == [label for label, _ in qa_ablation.VARIANTS.values()]
    for cells in found.values():
        assert (cells["nats a word"], cells["answers, F1"], cells["BLEU-4"]) == ("2 ± 0.01", "1 ± 0.01", "100 ± 0.01")
    for name in ("people/kind_fits: 1", "tagging everything/answer_F1: 0.", "as common as in the test questions/word"):
        assert name in text
    assert (tmp_path / "ablation.png").exists()


def test_one_seed_has_no_spread(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        qa_ablation.main(["program", f"--workdir={tmp_path}", "--seeds=1"])
    assert "--seeds=1" in capsys.readouterr().err
