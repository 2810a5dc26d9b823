"""Tests of the comparison of chapter 4's losses: configs of its runs, and metrics."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments import classifier
from experiments.studies import gan_ablation
from gdl_jax.runs.main import main
from gdl_jax.runs.study import TrainedVariant, describe
from tests.experiments.studies.configs import configs_of

OPTIONS = gan_ablation.Options(workdir="runs/here", seeds=2, critic_updates=500)


def test_all_losses_have_the_same_networks_and_critic_batches():
    configs = configs_of(gan_ablation.STUDY, OPTIONS)
    assert list(configs) == ["gan", "wgan", "wgan_gp", "hinge_spectral_norm"]
    assert {config.steps * config.n_critic for config in configs.values()} == {500}
    for name in ("generator_filters", "critic_filters", "batch_size", "seeds", "features"):
        assert len({getattr(config, name) for config in configs.values()}) == 1
    assert len({config.log_every for config in configs.values()}) == 1  # rows average equally many generator updates
    assert all(config.steps == 10 * config.eval_every for config in configs.values())
    for variant in gan_ablation.VARIANTS:
        config, experiment = configs[variant.name], variant.experiment
        assert experiment.build(config, experiment.spec(config), None).batches_per_step == variant.step_size


def test_a_classifier_is_trained_first_unless_there_is_one():
    (first,) = gan_ablation.feature_network(OPTIONS)
    assert first.experiment is classifier.EXPERIMENT
    assert configs_of(gan_ablation.STUDY, OPTIONS)["gan"].features == f"runs/here/{first.name}"
    there = dataclasses.replace(OPTIONS, features="runs/there")
    assert not gan_ablation.feature_network(there)
    assert configs_of(gan_ablation.STUDY, there)["gan"].features == "runs/there"


@pytest.mark.slow
def test_every_column_is_measured(tmp_path):
    quick = dataclasses.replace(classifier.EXPERIMENT, preview=lambda run: None, analyse=lambda run: {})
    main(quick, "about", ["program", f"--workdir={tmp_path / 'features'}", "--config=tiny", "--steps=20"])
    (variant, *_), experiment = gan_ablation.VARIANTS, gan_ablation.VARIANTS[0].experiment
    config = dataclasses.replace(experiment.preset("tiny"), features=str(tmp_path / "features"), judged_samples=20)
    evaluator = experiment.evaluator(config, experiment.load(config))
    samples = np.asarray(jax.random.uniform(jax.random.key(0), (20, 28, 28, 1)))
    measured = {name: {"mean": value, "std": 0.0} for name, value in evaluator.evaluate(samples).items()}
    rows = [{"step": step, "replicas": {"samples/fid": [step, step % 3]}, "samples/fid": 1.0} for step in range(1, 11)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    measured |= gan_ablation.measure(tmp_path) | dict(evaluator.reference) | {"training_minutes": 1.0}
    assert measured["fid_instability"]["values"][0] == pytest.approx(0, abs=1e-9)
    assert measured["fid_instability"]["values"][1] > 0.1
    text = describe(gan_ablation.STUDY, OPTIONS, [TrainedVariant(variant, measured, rows)])
    for heading in (*gan_ablation.STUDY.columns.values(), "real images"):
        assert heading in text


def test_instability_is_relative_to_the_trend_of_the_second_half():
    steps = np.arange(0, 110, 10)
    rng = np.random.default_rng(0)
    of_a_line = gan_ablation.fid_instability(steps, [999, 5, 700, 3, 2, 60, 50, 40, 30, 20, 10])
    assert of_a_line == pytest.approx(0, abs=1e-9)
    many = [gan_ablation.fid_instability(steps, 100 - 0.5 * steps + rng.normal(0, 3, 11)) for _ in range(500)]
    assert np.sqrt(np.mean(np.square(many))) == pytest.approx(3 / 62.5, rel=0.1)
