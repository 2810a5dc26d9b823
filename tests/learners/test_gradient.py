"""Gradient accumulation against whole batches, and moving averages against plain loops."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.learners.averaging import average_decay, moving_average
from gdl_jax.learners.gradient import Loss, TrainState, update

RNG = np.random.default_rng(0)
TOKENS = jnp.asarray(RNG.normal(size=(12, 5, 3)), jnp.float32)
MASK = jnp.asarray(np.arange(5) < RNG.integers(1, 6, (12, 1)), jnp.float32)  # texts of 1 to 5 tokens
BATCH = {"tokens": TOKENS, "mask": MASK, "step": jnp.int32(3)}
OPTIMIZER = optax.adam(0.1)


def mean_over_tokens(params, batch_stats, batch, key):
    """Returns a mean over tokens, of which examples have different numbers."""
    count = batch["mask"].sum()
    error = jnp.square(batch["tokens"] @ params["w"] - batch["step"]) * batch["mask"]
    return Loss(error.sum() / count, batch_stats, {"error": error.sum() / count}, weight=count)


def mean_over_examples(params, batch_stats, batch, key):
    error = jnp.square(batch["tokens"] @ params["w"] - 1.0).mean(axis=1)
    return Loss(error.mean(), batch_stats, {"error": error.mean()})


def state():
    params = {"w": jnp.asarray([0.5, -1.0, 2.0])}
    return TrainState(params, {}, OPTIMIZER.init(params))


def step(loss, accumulate, batch=BATCH, axis_name=None):
    key = jax.random.key(0)
    return update(state(), loss, batch, key, OPTIMIZER, axis_name, accumulate)


@pytest.mark.parametrize("loss", [mean_over_tokens, mean_over_examples])
@pytest.mark.parametrize("parts", [2, 3, 12])
def test_accumulated_update_matches_the_whole_batch(loss, parts):
    whole, accumulated = (jax.jit(step, static_argnums=(0, 1))(loss, count) for count in (1, parts))
    chex.assert_trees_all_close(accumulated, whole, rtol=1e-5)


@pytest.mark.slow
def test_examples_are_weighted_by_tokens_over_devices():
    whole, metrics = step(mean_over_tokens, 1)
    shared = {name: BATCH[name].reshape(3, 4, *BATCH[name].shape[1:]) for name in ("tokens", "mask")}

    def on_device(tokens, mask):
        batch = {"tokens": tokens, "mask": mask, "step": BATCH["step"]}
        return step(mean_over_tokens, 2, batch, axis_name="data")

    results = jax.vmap(on_device, axis_name="data")(shared["tokens"], shared["mask"])
    chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[0], results), (whole, metrics), rtol=1e-5)


def test_parts_that_do_not_divide_a_batch_are_refused():
    with pytest.raises(ConfigError, match=r"^accumulate=5: "):
        step(mean_over_examples, 5)


def test_each_part_has_its_own_random_numbers():
    def noise(params, batch_stats, batch, key):
        drawn = jax.random.normal(key, (len(batch["tokens"]),))
        return Loss(params["w"].sum() * 0.0, batch_stats, {"drawn": drawn[0]})

    first = jax.random.normal(jax.random.fold_in(jax.random.key(0), 0), (6,))[0]
    second = jax.random.normal(jax.random.fold_in(jax.random.key(0), 1), (6,))[0]
    _, metrics = step(noise, 2)
    np.testing.assert_allclose(metrics["drawn"], (first + second) / 2, rtol=1e-5)


def counting_learner():
    """Returns a learner whose only parameter is the number of updates."""

    def init(key, batch):
        return TrainState({"n": jnp.float32(0)}, {"stats": {"n": jnp.float32(0)}}, ())

    def step(state, batch, key):
        n = state.params["n"] + 1
        return state.replace(params={"n": n}, batch_stats={"stats": {"n": n}}), {"n": n}

    def evaluate(state, batch, key):
        return {"loss": state.params["n"] + 0 * batch}

    def sample(state, key, num, factor):
        return factor * jnp.full(num, state.batch_stats["stats"]["n"])

    return Learner(init, step, evaluate, sample)


def test_moving_average_evaluates_and_samples_with_averages():
    learner = moving_average(counting_learner(), 0.5)
    state, key = learner.init(jax.random.key(0), None), jax.random.key(0)
    expected = 0.0
    for t in range(20):
        state, _ = learner.step(state, None, key)
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * (t + 1)
    np.testing.assert_allclose(state.params["n"], expected, rtol=1e-5)
    np.testing.assert_allclose(learner.evaluate(state, jnp.zeros(3), key)["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(learner.sample(state, key, 2, factor=2.0), 2 * expected, rtol=1e-5)
    assert float(state.trained.params["n"]) == 20


def test_no_decay_returns_the_learner():
    learner = counting_learner()
    assert moving_average(learner, 0.0) is learner
    assert float(average_decay(0.999, jnp.int32(0))) == pytest.approx(0.1)
