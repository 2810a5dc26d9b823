"""Tests of the GANs on images: bad flags, conditions, joined splits, schedules, and sample metrics."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import classifier, evaluate, gan, wgan, wgan_gp
from experiments.adversarial import images as adversarial
from experiments.adversarial import rules
from gdl_jax.data.dataset import Subset
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.main import main
from gdl_jax.runs.records import with_absolute_paths
from tests.runs.programs import refused, train

SHORT = ["--config=tiny", "--steps=2", "--log_every=1", "--eval_every=2"]


def mean(scores):
    return scores.mean()


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        (["--generator_strides=2,4,1"], ["--generator_strides=2,4,1", "28x28"]),
        (["--image_size=30"], ["--generator_strides", "30x30"]),
        (["--dataset=avatars", "--avatars=30", "--image_size=28"], ["--generator_filters=8,4,1", "3"]),
        (["--train_examples=7"], ["--batch_size=16", "7"]),
        (["--adversarial_loss=bec"], ["--adversarial_loss=bec", "wasserstein"]),
        (["--adversarial_loss=tests.experiments.adversarial.test_images:mean"], ["--adversarial_loss=", "function"]),
        (["--only_class=13"], ["--only_class=13"]),
        (["--dataset=avatars", "--avatars=30", "--conditional"], ["--conditional", "avatars"]),
        (["--n_critic=0"], ["--n_critic=0"]),
        (["--ema_decay=1"], ["--ema_decay=1"]),
        (["--batch_norm_momentum=1"], ["--batch_norm_momentum=1"]),
        (["--critic_learning_rate=0"], ["--critic_learning_rate=0"]),
        (["--features=/nowhere"], ["--features=/nowhere"]),
        (["--gradient_penalty_at=middle"], ["--gradient_penalty_at=middle"]),
        (["--gradient_penalty_at=real"], ["--gradient_penalty_at=real", "--gradient_penalty"]),
        (["--gradient_penalty_center=0"], ["--gradient_penalty_center=0", "--gradient_penalty"]),
        (["--clip_biases=false"], ["--clip_biases=False", "clip"]),
        (["--judged_samples=40"], ["--judged_samples=40", "features"]),
        (["--judged_samples=9", "--features=vgg16"], ["--judged_samples=9", "10"]),
    ],
)
def test_bad_flags_are_one_line(tmp_path, flags, texts):
    refused(train(gan.EXPERIMENT, *SHORT, f"--workdir={tmp_path}/run", *flags), *texts)
    assert not (tmp_path / "run" / "flags.json").exists()


@pytest.fixture(scope="module")
def classifier_workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classifier") / "run"
    flags = ["--config=tiny", "--steps=500", "--eval_every=0"]
    main(classifier.EXPERIMENT, "about", ["program", f"--workdir={workdir}", *flags])
    return workdir


@pytest.mark.slow
def test_samples_are_evaluated_during_and_after_training(tmp_path, classifier_workdir):
    more = ["--conditional", "--seeds=2", "--ema_decay=0.9", f"--features={classifier_workdir}", "--judged_samples=40"]
    main(wgan_gp.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", *SHORT, *more])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    logged = [row for row in rows if "samples/fid" in row][-1]
    assert logged["step"] == 2 and logged["samples/fid_std"] > 0
    before = json.loads((tmp_path / "results.json").read_text())
    assert len(before["samples/fid"]["values"]) == 2
    evaluate.main(["program", f"--workdir={tmp_path}"])
    after = json.loads((tmp_path / "results.json").read_text())
    np.testing.assert_allclose(after["samples/fid"]["values"], before["samples/fid"]["values"], rtol=1e-3)
    assert after["protocol"] == before["protocol"] and "failure_modes" not in after["protocol"]


@pytest.fixture(scope="module")
def measured(classifier_workdir):
    """Config, data and evaluator of the first preset."""
    config = dataclasses.replace(gan.PRESETS["digits"], features=str(classifier_workdir))
    data = adversarial.load(config)
    return config, data, adversarial.sample_evaluator(config, data)


def test_real_images_score_better_than_noise(measured):
    _, data, evaluator = measured
    real = np.asarray(data.transform(data.train.take(np.arange(400)))["image"])
    noise = np.random.default_rng(0).uniform(size=real.shape).astype(np.float32)
    good, bad = (evaluator.evaluate(images) for images in (real, noise))
    assert good["samples/fid"] < 0.2 * bad["samples/fid"]
    assert good["samples/kid"] < 0.2 * bad["samples/kid"]
    assert good["samples/coverage"] > 0.5 > bad["samples/coverage"]
    assert good["samples/modes_covered"] == good["samples/modes_of_real_images"] == 10 > bad["samples/modes_covered"]
    assert good["samples/kl_to_real"] < 0.1 < bad["samples/kl_to_real"]


def test_samples_are_compared_with_all_of_a_small_test_split(measured):
    _, data, evaluator = measured
    assert evaluator.num == 1000 > len(data.test)
    assert "1,000" in evaluator.protocol and str(len(data.test)) in evaluator.protocol
    noise = np.random.default_rng(0).uniform(size=(100, 28, 28, 1)).astype(np.float32)
    assert evaluator.reference["real_images/fid"] < 0.2 * evaluator.evaluate(noise)["samples/fid"]
    assert evaluator.reference["real_images/modes_covered"] == 10


def test_joined_splits_are_compared_with_training_images(measured):
    config, _, _ = measured
    config = dataclasses.replace(config, join_splits=True, judged_samples=100)
    data = adversarial.load(config)
    evaluator = adversarial.sample_evaluator(config, data)
    compared = data.train.take(np.random.default_rng(0).permutation(len(data.train))[:100])
    same = evaluator.evaluate(np.asarray(data.transform(compared)["image"]))
    assert same["samples/fid"] < 1e-3 < evaluator.reference["real_images/fid"]


def test_modes_are_those_of_the_real_images(measured):
    config, _, _ = measured
    config = dataclasses.replace(config, only_class="3", judged_samples=100)
    data = adversarial.load(config)
    evaluator = adversarial.sample_evaluator(config, data)
    threes = np.asarray(data.transform(data.train.take(np.arange(100)))["image"])
    numbers = evaluator.evaluate(threes)
    assert numbers["samples/modes_covered"] >= 0.5 * numbers["samples/modes_of_real_images"]
    assert numbers["samples/kl_to_real"] < 0.3 < numbers["samples/kl_to_uniform"]


@pytest.mark.slow
def test_joined_splits_leave_nothing_to_hold_out(tmp_path):
    flags = ["--join_splits", "--only_class=3"]
    main(gan.EXPERIMENT, "about", ["program", f"--workdir={tmp_path}", *SHORT, *flags])
    results = json.loads((tmp_path / "results.json").read_text())
    assert not any(name.startswith(("test/", "test_images/")) for name in results)
    assert 0 < results["samples/l1_to_nearest_training_image"] < 1
    assert results["failure_modes"] and "failure_modes" in results["protocol"]  # without a classifier, no modes


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"conditional": True}, True),
        ({"dataset": "cifar10", "only_class": "horse", "conditional": True}, True),
        ({"dataset": "cifar10", "only_class": "centaur"}, False),
        ({"dataset": "quickdraw:camel"}, True),
        ({"dataset": "quickdraw:camel", "conditional": True}, False),
        ({"dataset": "npz:file.npz"}, False),
    ],
)
def test_spec_is_none_where_only_the_data_have_the_classes(changes, known):
    spec = adversarial.spec(dataclasses.replace(gan.PRESETS["camel"], **{"dataset": "digits", **changes}))
    assert (spec is not None) == known


@pytest.mark.parametrize(
    ("features", "kept"),
    [("", ""), ("vgg16", "vgg16"), ("run", "{}/run"), ("/run", "/run"), ("inception:w.h5", "inception:{}/w.h5")],
)
def test_the_path_of_the_feature_extractor_is_kept_absolute(tmp_path, monkeypatch, features, kept):
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(gan.PRESETS["tiny"], features=features)
    assert with_absolute_paths(config)["features"] == kept.format(tmp_path)


def test_labels_are_those_of_training_images(tmp_path):
    config = dataclasses.replace(gan.PRESETS["digits"], conditional=True, only_class="3")
    run = Run(config, adversarial.load(config), None, None, jax.random.key(0), 0, tmp_path)
    (labels,) = adversarial.draw_conditions(run, run.key, 50).values()
    assert labels.shape == (50,) and set(labels.tolist()) == {3}


def test_labels_have_the_frequencies_of_the_training_set(tmp_path):
    config = dataclasses.replace(gan.PRESETS["digits"], conditional=True)
    data = adversarial.load(config)
    twos = np.flatnonzero(data.train.take(np.arange(len(data.train)))["label"] == 2)
    index = np.concatenate([twos, np.arange(len(twos))])
    data = dataclasses.replace(data, train=Subset(data.train, index))
    run = Run(config, data, None, None, jax.random.key(0), 0, tmp_path)
    (labels,) = adversarial.draw_conditions(run, run.key, 1000).values()
    assert np.mean(np.asarray(labels) == 2) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("biases", [True, False])
def test_weights_at_the_clipping_limit_are_counted(tmp_path, biases):
    config = dataclasses.replace(wgan.PRESETS["digits"], clip_biases=biases)
    half = {"kernel": np.array([[0.0096, -0.01, 0.0094, 0.0]]), "bias": np.full(4, 0.01)}
    state = SimpleNamespace(critic=SimpleNamespace(params=half))
    run = Run(config, adversarial.load(config), None, state, jax.random.key(0), 0, tmp_path)
    now, at_start = adversarial.weights_at_limit(run).values()
    assert now == (0.75 if biases else 0.5)
    assert at_start == pytest.approx(2 * stats.norm.sf(0.95 * 0.01 / 0.02), abs=0.01)  # of N(0, 0.02^2), both tails


@pytest.mark.parametrize("separate_updates", [True, False])
def test_schedules_of_critic_and_generator_end_together(separate_updates):
    """A linear schedule over 4 steps with 2 critic updates each, or 4 if they are separate."""
    config = dataclasses.replace(
        gan.PRESETS["tiny"],
        **{"schedule": "linear", "steps": 4, "n_critic": 2, "separate_updates": separate_updates},
        **{"critic_optimizer": "sgd", "critic_learning_rate": 1.0},
    )
    optimizer, updates = rules.critic_optimizer(config), 16 if separate_updates else 8
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(updates):
        change, state = optimizer.update(jnp.ones(()), state, jnp.zeros(()))
        rates.append(-float(change))
    np.testing.assert_allclose(rates, 1 - np.arange(updates) / updates, rtol=1e-6)
