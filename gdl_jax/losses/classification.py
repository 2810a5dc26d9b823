"""Losses and accuracies of classifiers: one value per example."""

import chex
import jax
import jax.numpy as jnp


def _check_classes(logits: jax.Array, labels: jax.Array) -> None:
    """Raises AssertionError unless shapes are (B, K) and (B,), and labels integers."""
    chex.assert_rank(logits, 2)
    chex.assert_shape(labels, (len(logits),))
    chex.assert_type([logits, labels], [float, int])


def _check_attributes(logits: jax.Array, targets: jax.Array) -> None:
    """Raises AssertionError unless both shapes are the same (B, A)."""
    chex.assert_rank(logits, 2)
    chex.assert_equal_shape([logits, targets])
    chex.assert_type(logits, float)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns -log softmax(logits)[label], in nats.

    Args:
      logits: (B, K).
      labels: (B,), integers in [0, K).

    Returns:
      (B,).
    """
    _check_classes(logits, labels)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns 1.0 where the largest logit is the label's, else 0.0: (B, K), (B,) -> (B,)."""
    _check_classes(logits, labels)
    return (logits.argmax(axis=-1) == labels).astype(jnp.float32)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns -[t log s(l) + (1 - t) log(1 - s(l))], averaged over attributes, in nats; stable for large logits.

    Args:
      logits: (B, A).
      targets: (B, A), in [0, 1].

    Returns:
      (B,).
    """
    _check_attributes(logits, targets)
    return (jax.nn.softplus(logits) - targets * logits).mean(axis=-1)


def attribute_accuracy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the share of an example's attributes with the right sign of the logit: (B, A), (B, A) of 0, 1 -> (B,)."""
    _check_attributes(logits, targets)
    return ((logits > 0) == (targets > 0.5)).astype(jnp.float32).mean(axis=-1)


CLASSIFICATION_LOSSES = {"cross_entropy": cross_entropy}
