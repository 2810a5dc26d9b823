"""A minimal learner for tests: linear regression, with noise in its gradient so that keys matter."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gdl_jax.core.learner import Learner
from gdl_jax.core.prng import example_normal
from gdl_jax.data.dataset import ArraySource, DataSet

WEIGHTS = np.array([0.0, 1.0, -2.0, 3.0, 0.5], np.float32)


def make_data(train: int = 90, test: int = 21) -> DataSet:
    x = np.random.default_rng(0).normal(size=(train + test, 5)).astype(np.float32)
    y = x @ WEIGHTS

    def source(rows):
        return ArraySource({"x": x[rows], "y": y[rows]})

    return DataSet("toy", source(slice(train)), source(slice(train, None)))


def make_learner(axis_name: str | None = None, learning_rate: float = 0.05, poison_step: int | None = None) -> Learner:
    """Returns the learner; the loss of update `poison_step` (from 1) is NaN."""

    def init(key, batch):
        return {"w": jax.random.normal(key, batch["x"].shape[1:]), "updates": jnp.zeros((), jnp.int32)}

    def step(state, batch, key):
        noise = 0.1 * example_normal(key, batch["y"].shape, axis_name)
        loss, gradient = jax.value_and_grad(lambda w: jnp.mean((batch["x"] @ w - batch["y"] - noise) ** 2))(state["w"])
        if axis_name is not None:
            loss, gradient = lax.pmean((loss, gradient), axis_name)
        updates = state["updates"] + 1
        if poison_step is not None:
            loss = jnp.where(updates == poison_step, jnp.nan, loss)
        return {"w": state["w"] - learning_rate * gradient, "updates": updates}, {"loss": loss}

    def evaluate(state, batch, key):
        return {"loss": (batch["x"] @ state["w"] - batch["y"]) ** 2}

    def sample(state, key, num):
        return jax.random.normal(key, (num, 5)) * state["w"]

    return Learner(init, step, evaluate, sample)
