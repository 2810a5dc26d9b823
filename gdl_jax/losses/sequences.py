"""Losses of sequences that are padded: what is padding counts for nothing, neither in a sum nor in what divides it."""

import chex
import jax
import jax.numpy as jnp


def token_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-log softmax(logits)[target] of each token, in nats: (B, T, K), integers (B, T) in [0, K) -> (B, T).

    As log(sum(exp(logits))) - logits[target], so that no array of the logits' size is written beside them.
    """
    chex.assert_rank(logits, 3)
    chex.assert_shape(targets, logits.shape[:-1])
    chex.assert_type([logits, targets], [float, int])
    of_target = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - of_target


def masked_sum(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Of each row, the sum of what the mask keeps: (B, T), (B, T) -> (B,); what it leaves out may be anything."""
    chex.assert_rank(values, 2)
    chex.assert_equal_shape([values, mask])
    chex.assert_type(values, float)
    return jnp.where(mask.astype(bool), values, 0.0).sum(axis=1)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Of each row, the mean of what the mask keeps: (B, T), (B, T) -> (B,); 0 where it keeps nothing."""
    return masked_sum(values, mask) / jnp.maximum(mask.astype(jnp.float32).sum(axis=1), 1.0)
