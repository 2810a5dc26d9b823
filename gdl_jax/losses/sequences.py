"""Losses of sequences, and sums and means over them that ignore padding."""

import chex
import jax
import jax.numpy as jnp


def token_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns -log softmax(logits)[target] of each token, in nats: (B, T, K), integers (B, T) in [0, K) -> (B, T).

    Computed as logsumexp(logits) - logits[target], which allocates no second array of the logits' size.
    """
    chex.assert_rank(logits, 3)
    chex.assert_shape(targets, logits.shape[:-1])
    chex.assert_type([logits, targets], [float, int])
    of_target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - of_target


def masked_sum(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns each row's sum of unmasked values: (B, T), (B, T) -> (B,); masked values may be NaN."""
    chex.assert_rank(values, 2)
    chex.assert_equal_shape([values, mask])
    chex.assert_type(values, float)
    return jnp.where(mask.astype(bool), values, 0.0).sum(axis=1)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns each row's mean of unmasked values: (B, T), (B, T) -> (B,); 0 where all are masked."""
    return masked_sum(values, mask) / jnp.maximum(mask.astype(jnp.float32).sum(axis=1), 1.0)
