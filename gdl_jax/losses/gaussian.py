"""Densities and KL divergences of diagonal Gaussians."""

import chex
import jax
import jax.numpy as jnp


def kl_to_standard_normal(mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """Returns KL(N(mean, exp(log_var)) || N(0, 1)) = -1/2 (1 + log_var - mean^2 - exp(log_var)), in nats.

    Kingma & Welling 2014, appendix B. The minus sign is missing in the book's text but not in its code (03_03).

    Args:
      mean, log_var: (B, z).

    Returns:
      (B, z), per dimension; at least 0 up to rounding.
    """
    chex.assert_rank(mean, 2)
    chex.assert_equal_shape([mean, log_var])
    chex.assert_type([mean, log_var], float)
    return -0.5 * (1.0 + log_var - jnp.square(mean) - jnp.exp(log_var))


def log_normal(x: jax.Array, mean: jax.Array | float, log_var: jax.Array | float) -> jax.Array:
    """Returns log N(x; mean, exp(log_var)) elementwise, in nats.

    Args:
      x: (...).
      mean, log_var: arrays or numbers that broadcast to the shape of x.

    Returns:
      (...).
    """
    chex.assert_is_broadcastable(jnp.shape(mean), x.shape)
    chex.assert_is_broadcastable(jnp.shape(log_var), x.shape)
    chex.assert_type([x, mean, log_var], float)
    return -0.5 * (jnp.log(2.0 * jnp.pi) + log_var + jnp.square(x - mean) * jnp.exp(-log_var))


def with_free_bits(kl: jax.Array, nats: float, shared: bool = False) -> jax.Array:
    """Returns the sum over groups of max(kl, nats): a group's divergence is free up to its nats.

    Kingma et al. 2016 (inverse autoregressive flow), equation 15, applied to each example; a group is one dimension or
    all of them. With 0 nats it is the plain sum.

    Args:
      kl: (B, z), per dimension.
      nats: free nats per dimension, at least 0.
      shared: one group, max(sum of kl, z * nats), as in the world models' autoencoder (its "KL tolerance").

    Returns:
      (B,).
    """
    chex.assert_rank(kl, 2)
    chex.assert_type(kl, float)
    if nats == 0:
        return kl.sum(axis=-1)
    if shared:
        return jnp.maximum(kl.sum(axis=-1), nats * kl.shape[-1])
    return jnp.maximum(kl, nats).sum(axis=-1)
