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


def smoothed_cross_entropy(logits: jax.Array, targets: jax.Array, smoothing: float) -> jax.Array:
    """Returns the cross-entropy with smoothed labels of each token, in nats: (B, T, K), (B, T) -> (B, T).

    The target has probability 1 - smoothing, each other token smoothing / (K - 1) (Szegedy et al. 2016, section 7, with
    the target left out of the uniform part, as in Vaswani et al.'s code).

    Args:
      logits: (B, T, K).
      targets: integers (B, T) in [0, K).
      smoothing: in [0, 1); 0: the plain cross-entropy.
    """
    of_target = token_cross_entropy(logits, targets)
    if not smoothing:
        return of_target
    count = logits.shape[-1]
    of_all = count * jax.nn.logsumexp(logits, axis=-1) - logits.sum(axis=-1)  # sum of -log p over all tokens
    return (1 - smoothing) * of_target + smoothing / (count - 1) * (of_all - of_target)


def masked_sum(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns each row's sum of unmasked values: (B, T), (B, T) -> (B,); masked values may be NaN."""
    chex.assert_rank(values, 2)
    chex.assert_equal_shape([values, mask])
    chex.assert_type(values, float)
    return jnp.where(mask.astype(bool), values, 0.0).sum(axis=1)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns each row's mean of unmasked values: (B, T), (B, T) -> (B,); 0 where all are masked."""
    return masked_sum(values, mask) / jnp.maximum(mask.astype(jnp.float32).sum(axis=1), 1.0)
