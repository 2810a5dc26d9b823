"""Likelihood of images under a variational autoencoder, by importance sampling (Burda et al. 2016, equation 8).

log p(x) >= E[log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)], z_k ~ q(z | x): a bound that tightens with K.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from gdl_jax.losses.gaussian import log_normal


def gaussian_log_likelihood(weight: float) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Returns log p(x | z) whose negative is, up to a constant, `weight` times the mean squared error over D pixels.

    From weight / D * sum_d e_d^2 = sum_d e_d^2 / (2 s^2) follows the noise variance s^2 = D / (2 weight).

    Returns:
      (image (...), decoded (...)) -> log density in nats, a scalar. It may be positive, as a density may exceed 1.
    """

    def log_likelihood(image, decoded):
        log_var = jnp.log(image.size / (2.0 * weight))
        return log_normal(image, decoded, log_var).sum()

    return log_likelihood


def bernoulli_log_likelihood(image: jax.Array, decoded: jax.Array, epsilon: float = 1e-6) -> jax.Array:
    """Returns log p(x | z) of pixels in [0, 1], read as probabilities of 1: -D times `losses.reconstruction.bce`."""
    probability = jnp.clip(decoded, epsilon, 1.0 - epsilon)
    return (image * jnp.log(probability) + (1.0 - image) * jnp.log1p(-probability)).sum()


def importance_weighted_bound(
    key: jax.Array,
    image: jax.Array,
    mean: jax.Array,
    log_var: jax.Array,
    decode: Callable[[jax.Array], jax.Array],
    log_likelihood: Callable[[jax.Array, jax.Array], jax.Array],
    num_samples: int,
) -> jax.Array:
    """Returns the lower bound on log p(x) of each example, in nats.

    Args:
      key: for the samples from q.
      image: (B, ...).
      mean, log_var: (B, z), of q(z | x).
      decode: codes (K, z) -> decoded (K, ...).
      log_likelihood: (image (...), decoded (...)) -> scalar.
      num_samples: K.

    Returns:
      (B,). With K = 1 it is an unbiased estimate of the evidence lower bound.
    """

    def one(args):
        key, image, mean, log_var = args
        codes = mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, (num_samples, mean.shape[0]))
        log_weights = (
            jax.vmap(log_likelihood, (None, 0))(image, decode(codes))
            + log_normal(codes, 0.0, 0.0).sum(-1)
            - log_normal(codes, mean, log_var).sum(-1)
        )
        return jax.nn.logsumexp(log_weights) - jnp.log(num_samples)

    return lax.map(one, (jax.random.split(key, image.shape[0]), image, mean, log_var))
