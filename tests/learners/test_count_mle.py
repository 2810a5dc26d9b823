"""Fits by counting in the training loop: one epoch is the exact fit, on one device or several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core import loop
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import make_evaluate
from gdl_jax.data.images import wrodl
from gdl_jax.learners.count_mle import count_mle
from gdl_jax.models.naive_bayes import Config, make_model

DATA = wrodl.load()
TRAIN = DATA.train.take(np.arange(50))["features"]


def learner_of(smoothing=0.0, axis_name=None):
    model = make_model(Config(smoothing=smoothing), wrodl.LEVELS)
    return count_mle(
        model, encode=lambda batch: batch["features"], decode=lambda features: features + 100, axis_name=axis_name
    )


def numpy_log_likelihood(rows, smoothing):
    total = np.zeros(len(rows))
    for j, levels in enumerate(wrodl.LEVELS):
        counts = np.bincount(TRAIN[:, j], minlength=levels) + smoothing
        total += np.log(counts[rows[:, j]] / counts.sum())
    return total


def fitted():
    learner = learner_of()
    batch = {"features": jnp.asarray(TRAIN)}
    state, _ = jax.jit(learner.step)(learner.init(jax.random.key(0), batch), batch, jax.random.key(0))
    return learner, state


def train(workdir, kind, steps, batch_size, smoothing=0.0):
    devices = make_devices(kind)
    learner = learner_of(smoothing, devices.axis_name)
    options = {"steps": steps, "batch_size": batch_size, "log_every": 1}
    outcome = loop.train(learner, DATA, devices, workdir, **options)
    return learner, outcome.state


@pytest.mark.parametrize("kind", ["jit", "pmap"])
@pytest.mark.parametrize(("steps", "batch_size"), [(1, 50), (5, 10)])
def test_one_epoch_counts_every_row_once(tmp_path, kind, steps, batch_size):
    _, state = train(tmp_path, kind, steps, batch_size)
    for row, column in zip(np.asarray(state.counts), TRAIN.T, strict=True):
        np.testing.assert_array_equal(row, np.bincount(column, minlength=8))


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_held_out_loss_is_the_closed_form(tmp_path, smoothing):
    learner, state = train(tmp_path, "jit", 1, 50, smoothing)
    rows = DATA.test.take(np.arange(len(DATA.test)))["features"]
    mean = make_evaluate(learner, DATA, DATA.test, 300, make_devices("jit"))(state)["loss"]
    assert float(mean) == pytest.approx(-numpy_log_likelihood(rows, smoothing).mean(), rel=1e-5)


def test_step_loss_is_after_counting_the_batch():
    learner = learner_of()
    batch = {"features": jnp.asarray(TRAIN)}
    state, metrics = jax.jit(learner.step)(learner.init(jax.random.key(0), batch), batch, jax.random.key(0))
    assert float(metrics["loss"]) == pytest.approx(-numpy_log_likelihood(TRAIN, 0.0).mean(), rel=1e-5)
    values = learner.evaluate(state, batch, jax.random.key(0))["loss"]
    np.testing.assert_allclose(values, -numpy_log_likelihood(TRAIN, 0.0), rtol=1e-5)


def test_unseen_values_are_impossible_without_smoothing():
    learner, state = fitted()
    bun = {"features": jnp.asarray(wrodl.encode([("Round", "White", "Overall", "Red", "LongHairBun")]))}
    assert np.isposinf(learner.evaluate(state, bun, jax.random.key(0))["loss"])


def test_counts_over_devices_match_the_whole_batch():
    whole, half = learner_of(), learner_of(axis_name="data")
    batch = {"features": jnp.asarray(TRAIN)}
    state = whole.init(jax.random.key(0), batch)
    expected, metrics = jax.jit(whole.step)(state, batch, jax.random.key(0))
    halves = {"features": jnp.asarray(TRAIN).reshape(2, 25, 5)}
    on_devices = jax.vmap(lambda b: half.step(state, b, jax.random.key(0)), axis_name="data")
    states, losses = jax.jit(on_devices)(halves)
    for counts in states.counts:
        np.testing.assert_array_equal(counts, expected.counts)
    np.testing.assert_allclose(losses["loss"], metrics["loss"], rtol=1e-6)


def test_samples_are_decoded():
    learner, state = fitted()
    drawn = np.asarray(jax.jit(learner.sample, static_argnums=2)(state, jax.random.key(1), 64)) - 100
    assert drawn.shape == (64, 5)
    assert np.isfinite(numpy_log_likelihood(drawn, 0.0)).all()  # only values that occur
    assert len({tuple(row) for row in drawn.tolist()}) > 30
