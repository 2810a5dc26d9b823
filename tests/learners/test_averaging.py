"""Tests of the mean of the last checkpoints; the moving average is tested with `gradient`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.learner import Learner
from gdl_jax.learners.averaging import checkpoint_average
from gdl_jax.learners.gradient import TrainState

COUNT, EVERY = 3, 2


def counting() -> Learner:
    """Returns a learner whose parameter is the square of the number of updates."""

    def init(key, batch):
        return TrainState({"w": jnp.zeros(2)}, {}, jnp.zeros(()))

    def step(state, batch, key):
        updates = state.opt_state + 1
        return TrainState({"w": jnp.full(2, updates**2)}, {}, updates), {}

    def evaluate(state, batch, key):
        return {"w": state.params["w"]}

    return Learner(init, step, evaluate, lambda state, key, num: state.params["w"][:num])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 9, 12])
def test_evaluates_and_samples_with_the_mean_of_the_last_checkpoints(steps):
    learner = checkpoint_average(counting(), COUNT, EVERY)
    state, step = learner.init(jax.random.key(0), {}), jax.jit(learner.step)
    for _ in range(steps):
        state, _ = step(state, {}, None)
    checkpoints = range(EVERY, steps + 1, EVERY)[-COUNT:] or [steps]
    expected = np.mean([number**2 for number in checkpoints])
    np.testing.assert_allclose(learner.evaluate(state, {}, None)["w"], expected)
    np.testing.assert_allclose(learner.sample(state, None, 1), [expected])
    np.testing.assert_allclose(state.trained.params["w"], steps**2)


def test_none_are_averaged_by_default():
    learner = counting()
    assert checkpoint_average(learner, 0, 1) is learner
