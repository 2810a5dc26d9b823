"""Helpers of the learners' tests: a few of the bundled digits, and a short training loop."""

import functools

import jax
import numpy as np

from gdl_jax.data.images.digits import load
from gdl_jax.models import autoencoder

BATCH = 32
CONFIG = autoencoder.Config(
    encoder_filters=(8, 16),
    encoder_kernel_sizes=(3, 3),
    encoder_strides=(2, 2),
    decoder_filters=(16, 1),
    decoder_kernel_sizes=(3, 3),
    decoder_strides=(2, 2),
)


@functools.cache
def digits():
    """Returns a training batch of 1,024 and a test batch of 256, with three attributes derived from the labels."""
    data = load()

    def batch(source, count):
        rows = data.transform(source.take(np.arange(count)))
        labels = np.asarray(rows["label"])
        attributes = np.stack([labels % 2 == 0, labels >= 5, np.isin(labels, (0, 6, 8, 9))], 1).astype(np.float32)
        return {"image": np.asarray(rows["image"]), "label": labels, "attributes": attributes}

    return batch(data.train, 1024), batch(data.test, 256)


def first_state(learner, batch):
    """Returns the initial state; this type of key compiles fast."""
    return jax.jit(learner.init)(jax.random.key(0, impl="unsafe_rbg"), batch)


def fit(learner, batch, steps):
    """Returns the trained state and the metrics of the last step."""
    rng = np.random.default_rng(0)
    state = first_state(learner, jax.tree.map(lambda array: array[:BATCH], batch))
    step = jax.jit(learner.step, donate_argnums=0)
    for i in range(steps):
        rows = rng.integers(len(batch["image"]), size=BATCH)
        small = jax.tree.map(lambda array, rows=rows: array[rows], batch)
        state, metrics = step(state, small, jax.random.key(i))
    return state, metrics


def mean_of(learner, state, batch):
    """Returns the means of `evaluate`'s metrics, which must have one value per example."""
    metrics = jax.jit(learner.evaluate)(state, batch, jax.random.key(0))
    assert {value.shape for value in metrics.values()} == {(len(batch["image"]),)}
    return {name: float(value.mean()) for name, value in metrics.items()}
