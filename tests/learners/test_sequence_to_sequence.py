"""Tests of the learner of translations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.learners.sequence_to_sequence import sequence_to_sequence
from gdl_jax.losses.sequences import smoothed_cross_entropy, token_cross_entropy
from gdl_jax.models.transformer import Config, Transformer

MODULE = Transformer(Config(layers=1, width=8, heads=2, hidden_units=8, dropout_rate=0.0), 9, 9, 12)
BATCH = {
    "source": jnp.array([[1, 4, 2, 0], [1, 5, 6, 2], [1, 7, 2, 0], [1, 8, 3, 2]]),
    "target": jnp.array([[1, 3, 2, 0, 0], [1, 4, 5, 6, 2], [1, 2, 0, 0, 0], [1, 7, 7, 2, 0]]),
}


def learner(**changes):
    return sequence_to_sequence(MODULE, optax.sgd(0.1), translate=lambda *_: None, **changes)


def test_smoothed_labels_share_their_probability_over_the_other_tokens():
    logits, targets = jax.random.normal(jax.random.key(0), (2, 3, 5)), jnp.array([[0, 1, 2], [3, 4, 0]])
    labels = 0.2 / 4 * (1 - jax.nn.one_hot(targets, 5)) + 0.8 * jax.nn.one_hot(targets, 5)
    wanted = -(labels * jax.nn.log_softmax(logits)).sum(-1)
    np.testing.assert_allclose(smoothed_cross_entropy(logits, targets, 0.2), wanted, rtol=1e-5)
    plain = token_cross_entropy(logits, targets)
    np.testing.assert_array_equal(smoothed_cross_entropy(logits, targets, 0.0), plain)


def test_the_loss_is_a_mean_over_real_tokens():
    made = learner()
    state = made.init(jax.random.key(0), BATCH)
    _, metrics = made.step(state, BATCH, jax.random.key(1))
    sums, weights = made.evaluate(state, BATCH, jax.random.key(1))["loss"]
    np.testing.assert_array_equal(weights, [2, 4, 1, 3])
    assert float(metrics["loss"]) == pytest.approx(float(sums.sum() / weights.sum()), rel=1e-5)
    longer = {name: jnp.pad(tokens, ((0, 0), (0, 3))) for name, tokens in BATCH.items()}
    np.testing.assert_allclose(made.evaluate(state, longer, None)["loss"], (sums, weights), rtol=1e-5)


def test_accumulated_gradients_weigh_tokens_and_not_sentences():
    whole, parts = learner(), learner(accumulate=2)
    state = whole.init(jax.random.key(0), BATCH)
    after = [one.step(state, BATCH, jax.random.key(1))[0].params for one in (whole, parts)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *after)


def test_smoothing_is_of_training_only():
    plain, smoothed = learner(), learner(smoothing=0.3)
    state = plain.init(jax.random.key(0), BATCH)
    _, metrics = smoothed.step(state, BATCH, jax.random.key(1))
    _, plain_metrics = plain.step(state, BATCH, jax.random.key(1))
    assert float(metrics["nll"]) == pytest.approx(float(plain_metrics["loss"]), rel=1e-5)
    assert abs(float(metrics["loss"]) - float(metrics["nll"])) > 1e-3
    np.testing.assert_array_equal(
        plain.evaluate(state, BATCH, None)["loss"], smoothed.evaluate(state, BATCH, None)["loss"]
    )
