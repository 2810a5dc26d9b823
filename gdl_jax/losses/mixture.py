"""Densities of mixtures of Gaussians."""

import math

import chex
import jax
import jax.numpy as jnp


def mixture_negative_log_likelihood(
    x: jax.Array, log_weights: jax.Array, means: jax.Array, log_sigmas: jax.Array
) -> jax.Array:
    """Returns -log sum_k pi_k N(x; mu_k, sigma_k^2) with pi = softmax(log_weights), a mixture per dimension, in nats.

    Bishop 1994, equations 22 to 26, in one dimension; Ha & Schmidhuber 2018; book chapter 8, whose code takes the log
    of the sum directly and overflows where a component is far away or narrow.

    Both sums are log-sum-exps, and the weights are normalised first, so that large log-weights cost no precision.
    Values and gradients are finite in float32 while |x - mu| / sigma is below 1e19, the root of the largest float32;
    a training network stays far below.

    Args:
      x: (...).
      log_weights, means, log_sigmas: (..., K); weights need not be normalised.

    Returns:
      (...), one value per dimension.
    """
    chex.assert_equal_shape([log_weights, means, log_sigmas])
    chex.assert_shape(x, log_weights.shape[:-1])
    chex.assert_type([x, log_weights, means, log_sigmas], float)
    standardised = (x[..., None] - means) * jnp.exp(-log_sigmas)
    log_densities = -0.5 * jnp.square(standardised) - log_sigmas - 0.5 * math.log(2.0 * math.pi)
    return -jax.nn.logsumexp(jax.nn.log_softmax(log_weights, axis=-1) + log_densities, axis=-1)
