"""Losses and scores of classifiers: one value per example."""

import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label], in nats.

    Args:
      logits: (B, K).
      labels: (B,), integers in [0, K).

    Returns:
      (B,).
    """
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """1.0 where the largest logit is the label's, else 0.0: (B, K), (B,) -> (B,)."""
    return (logits.argmax(axis=-1) == labels).astype(jnp.float32)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-[t log s(l) + (1 - t) log(1 - s(l))], the mean over attributes, in nats; never takes the log of a rounded 0.

    Args:
      logits: (B, A).
      targets: (B, A), in [0, 1].

    Returns:
      (B,).
    """
    return (jax.nn.softplus(logits) - targets * logits).mean(axis=-1)


def attribute_accuracy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Share of an example's attributes whose logit has the right sign: (B, A), (B, A) in {0, 1} -> (B,)."""
    return ((logits > 0) == (targets > 0.5)).astype(jnp.float32).mean(axis=-1)


CLASSIFICATION_LOSSES = {"cross_entropy": cross_entropy}
