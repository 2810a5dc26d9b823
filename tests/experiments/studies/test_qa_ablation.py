"""Tests of the comparison of decoders: configs of its runs, and its table."""

import numpy as np
import pytest

from experiments.language.question_answering import answer_labels
from experiments.language.question_metrics import EvaluationSamples
from experiments.qa import EXPERIMENT
from experiments.studies import qa_ablation
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text import questions
from gdl_jax.runs.study import TrainedVariant, describe
from tests.experiments.studies.configs import configs_of


def test_three_decoders_are_trained_alike():
    options = qa_ablation.Options(config="squad", steps=7, eval_every=3)
    configs = configs_of(qa_ablation.STUDY, options)
    assert {name: (config.attention, config.copy) for name, config in configs.items()} == {
        "plain": (False, False),
        "attention": (True, False),
        "copy": (True, True),
    }
    assert {(config.dataset, config.steps, config.seeds, config.eval_every) for config in configs.values()} == {
        ("squad", 7, 3, 3)
    }
    by_the_preset = configs_of(qa_ablation.STUDY, qa_ablation.Options(config="squad"))["plain"]
    assert (by_the_preset.steps, by_the_preset.eval_every) == (1200, 200)
    with pytest.raises(ConfigError, match="config"):
        qa_ablation.Options(config="triviaqa")


def test_results_of_older_runs_are_read(tmp_path):
    (tmp_path / "results.json").write_text('{"samples/kind_judged": 0.5}')
    assert qa_ablation.measure(tmp_path) == {"samples/kind_known": 0.5}


@pytest.mark.slow
def test_the_table_of_a_perfect_model(monkeypatch):
    monkeypatch.setattr(questions, "BULLETINS", 60)
    config = EXPERIMENT.preset("tiny")
    data = EXPERIMENT.load(config)
    evaluator = EXPERIMENT.evaluator(config, data)
    tags = {split: answer_labels(getattr(data, split))[0] * 1.0 for split in ("validation", "test")}
    asked = data.test.take(np.arange(min(evaluator.num, len(data.test))))["question"]
    measured = {**evaluator.evaluate(EvaluationSamples(**tags, questions=asked)), "test/word_loss": 2.0}
    results = {name: {"mean": value, "std": 0.01} for name, value in measured.items()}
    results |= dict(evaluator.reference) | {"training_minutes": 0.5, "protocol": {"samples": "as people do"}}
    variant = qa_ablation.VARIANTS[0]
    text = describe(qa_ablation.STUDY, qa_ablation.Options(), [TrainedVariant(variant, results, ())])
    header, _, *lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    found = {line[0]: dict(zip(header[1:], line[1:], strict=True)) for line in lines}
    assert header[1:-1] == list(qa_ablation.STUDY.columns.values())
    assert list(found) == [variant.label, *qa_ablation.STUDY.references.values()]
    cells = found[variant.label]
    assert (cells["nats per word"], cells["answer F1"], cells["BLEU-4"]) == ("2 ± 0.01", "1 ± 0.01", "100 ± 0.01")
    assert found["people"]["kind fits the answer"] == "1"
    assert found["all words tagged"]["answer F1"].startswith("0.")
    assert "samples: as people do" in text
