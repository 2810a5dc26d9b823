"""Sampling from mixtures of Gaussians."""

from itertools import accumulate

import jax
import jax.numpy as jnp


def mixture_sample(
    key: jax.Array,
    log_weights: jax.Array,
    means: jax.Array,
    log_sigmas: jax.Array,
    temperature: jax.Array | float = 1.0,
) -> jax.Array:
    """Draws one sample from each mixture of K Gaussians at a temperature (Ha & Schmidhuber 2018, after Graves 2013).

    Component k has a probability proportional to exp(log_weights_k / temperature) and the density
    N(means_k, temperature * exp(log_sigmas_k)^2).

    The component is chosen by inverting the cumulative weights at one uniform number per mixture; K Gumbel variables
    would take K times the random bits and two logarithms each.

    Args:
      key: one key for all.
      log_weights, means, log_sigmas: (..., K); the weights need not sum to 1.
      temperature: above 0; 1: the mixture itself.

    Returns:
      (...).
    """
    component_key, noise_key = jax.random.split(key)
    shape = means.shape[:-1]
    log_weights = log_weights / temperature
    weights = jnp.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    *sums, total = accumulate(weights[..., k] for k in range(weights.shape[-1]))
    threshold = jax.random.uniform(component_key, shape) * total
    mean, log_sigma = means[..., 0], log_sigmas[..., 0]
    for k, below in enumerate(sums, start=1):
        beyond = threshold >= below
        mean = jnp.where(beyond, means[..., k], mean)
        log_sigma = jnp.where(beyond, log_sigmas[..., k], log_sigma)
    return mean + jnp.exp(log_sigma) * jnp.sqrt(temperature) * jax.random.normal(noise_key, shape)
