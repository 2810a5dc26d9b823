"""Style transfer with a small random network in place of VGG16."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import fmin_l_bfgs_b

from gdl_jax.learners.style_transfer import activation_factors, lbfgs, picture_loss, resized, style_transfer
from gdl_jax.losses.style import StyleWeights
from gdl_jax.nn.frozen_conv import frozen_conv

WEIGHTS = StyleWeights({"second": 1.0}, {"first": 50.0, "second": 50.0}, 1e-7)
KERNELS = [
    np.random.default_rng(i).normal(size=(3, 3, *shape)).astype(np.float32) / 3
    for i, shape in enumerate(((3, 8), (8, 8)))
]


def features(images):
    first = jax.nn.relu(frozen_conv(images - 0.5, KERNELS[0]))
    return {"first": first, "second": jax.nn.relu(frozen_conv(first[:, ::2, ::2], KERNELS[1]))}


@pytest.fixture(scope="module")
def batch():
    content = jax.image.resize(jax.random.uniform(jax.random.key(0), (1, 4, 5, 3)), (1, 16, 20, 3), "linear")
    return {"content": content, "style_0": jax.random.uniform(jax.random.key(1), (1, 24, 12, 3))}


def make(optimizer=None, **options):
    return style_transfer(features, WEIGHTS, optimizer or lbfgs(10), **{"has_line_search": optimizer is None} | options)


def begin(learner, batch, seed=0):
    return jax.jit(learner.init)(jax.random.key(seed), batch)


def paint(learner, state, batch, steps):
    """Returns the state after some steps, and the metrics of each."""
    step, history = jax.jit(learner.step), []
    for _ in range(steps):
        state, metrics = step(state, batch, jax.random.key(0))
        history.append({name: float(value) for name, value in metrics.items()})
    return state, history


def evaluate(learner, state, batch):
    return {name: float(value[0]) for name, value in jax.jit(learner.evaluate)(state, batch, jax.random.key(0)).items()}


def test_lbfgs_gets_as_low_as_scipy_with_as_many_evaluations(batch):
    learner = make()
    start = begin(learner, batch)
    state, history = paint(learner, start, batch, 40)
    loss = jax.jit(jax.value_and_grad(partial(picture_loss, features, WEIGHTS, start.targets[0])))
    shape, values = batch["content"].shape, []

    def value_and_gradient(pixels):
        value, gradient = loss(pixels.reshape(shape).astype(np.float32))
        values.append(float(value))
        return float(value), np.asarray(gradient, np.float64).ravel()

    fmin_l_bfgs_b(value_and_gradient, np.asarray(batch["content"], np.float64).ravel(), maxfun=int(state.evaluations))
    assert values[0] > 1.3 * min(values)
    assert history[-1]["loss"] < 1.02 * min(values)
    assert [row["loss"] for row in history] == sorted([row["loss"] for row in history], reverse=True)


def test_reported_loss_is_the_sum_of_its_terms_at_the_picture(batch):
    learner = make()
    state, history = paint(learner, begin(learner, batch), batch, 5)
    values = evaluate(learner, state, batch)
    assert values["loss"] == pytest.approx(values["content"] + values["style"] + values["total_variation"], rel=1e-5)
    assert values["loss"] == pytest.approx(history[-1]["loss"], rel=1e-5)
    assert values["evaluations"] == sum(row["evaluations"] for row in history)


def test_counts_every_evaluation(batch):
    calls = []

    def counted(images):
        jax.debug.callback(lambda: calls.append(1))
        return features(images)

    learner = style_transfer(counted, WEIGHTS, lbfgs(10), has_line_search=True)
    state = begin(learner, batch)
    jax.effects_barrier()
    calls.clear()
    state, _ = paint(learner, state, batch, 6)
    jax.effects_barrier()
    assert len(calls) == int(state.evaluations) >= 6


def test_resumes_bit_for_bit(batch):
    learner = make()
    whole, _ = paint(learner, begin(learner, batch), batch, 6)
    half, _ = paint(learner, begin(learner, batch), batch, 3)
    resumed, _ = paint(learner, jax.tree.map(np.array, half), batch, 3)
    chex.assert_trees_all_equal(resumed, whole)


def test_a_gradient_step_is_the_optimisers(batch):
    learner = make(optax.sgd(1e-3))
    start = begin(learner, batch)
    state, (metrics,) = paint(learner, start, batch, 1)
    value, gradient = jax.value_and_grad(partial(picture_loss, features, WEIGHTS, start.targets[0]))(batch["content"])
    expected = batch["content"] - 1e-3 * gradient / start.units[0]
    chex.assert_trees_all_close(state.params[0], expected, rtol=1e-4, atol=1e-6)
    assert metrics["loss"] == pytest.approx(float(value), rel=1e-4)
    assert metrics["evaluations"] == 1


def test_starts_from_content_style_or_seeded_noise(batch):
    pictures = {kind: begin(make(start=kind), batch).params[0] for kind in ("content", "style", "noise")}
    chex.assert_trees_all_equal(pictures["content"], batch["content"])
    chex.assert_trees_all_close(pictures["style"], resized(batch["style_0"], 16, 20))
    again, other = (begin(make(start="noise"), batch, seed).params[0] for seed in (0, 1))
    chex.assert_trees_all_equal(pictures["noise"], again)
    assert float(jnp.abs(again - other).mean()) > 0.2


def test_each_size_starts_from_the_one_before(batch):
    learner = make(scales=3, coarse_steps=2)
    state, history = paint(learner, begin(learner, batch), batch, 4)
    assert [image.shape[1:3] for image in state.params] == [(4, 5), (8, 10), (16, 20)]
    chex.assert_trees_all_close(learner.sample(state, None, 1), resized(state.params[1], 16, 20))
    after, _ = paint(learner, state, batch, 1)
    chex.assert_trees_all_equal(after.params[:2], state.params[:2])
    enlarged = evaluate(learner, state, batch)["loss"]
    assert evaluate(learner, after, batch)["loss"] < enlarged
    assert float(jnp.abs(after.params[2] - resized(state.params[1], 16, 20)).mean()) < 0.05
    assert len(history) == 4


def test_style_changes_nothing_far_from_the_mask(batch):
    mask = np.zeros((1, 16, 20), np.float32)
    mask[:, :, :8] = 1
    learner = style_transfer(
        features, WEIGHTS._replace(content={}, total_variation=0.0), lbfgs(10), has_line_search=True
    )
    state, _ = paint(learner, begin(learner, dict(batch, mask=mask)), batch, 5)
    change = np.abs(np.asarray(state.params[0] - batch["content"])).mean((0, 1, 3))
    assert change[:8].min() > 1e-3
    assert change[14:].max() == 0


def test_features_are_scaled_to_the_same_mean_activation(batch):
    pictures = [features(batch["content"]), features(batch["style_0"])]
    factors = activation_factors(pictures, 100.0)
    for layer, factor in factors.items():
        mean = np.mean([np.mean(picture[layer]) for picture in pictures])
        assert float(factor) * mean == pytest.approx(100.0, rel=1e-4)


def test_samples_and_metrics_are_repeated(batch):
    learner = make()
    state = begin(learner, batch)
    assert learner.sample(state, None, 3).shape == (3, 16, 20, 3)
    rows = {name: jnp.repeat(array, 4, axis=0) for name, array in batch.items()}
    assert all(value.shape == (4,) for value in learner.evaluate(state, rows, None).values())
