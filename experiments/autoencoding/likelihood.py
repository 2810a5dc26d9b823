"""Importance-weighted bound on a variational autoencoder's log-likelihood, where its loss defines a density."""

import jax
import numpy as np
from flax import linen as nn

from experiments.autoencoding.encoding import images_at
from gdl_jax.evaluation.likelihood import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted_bound,
)
from gdl_jax.learners.autoencoder import decode
from gdl_jax.runs.experiment import Results, Run


def likelihood_bound(run: Run, decoder: nn.Module, mean: np.ndarray, log_var: np.ndarray) -> Results:
    """Returns {"log_likelihood_bound", "protocol"}, or {} where the loss is not a negative log density.

    Args:
      run: of a variational autoencoder; its config has the numbers of images and importance samples.
      decoder: its network.
      mean, log_var: (N, z), of q(z | x) for the first test images.
    """
    config = run.config
    if config.reconstruction_loss == "mse" and config.kl_weight > 0 and config.reconstruction_weight > 0:
        log_likelihood = gaussian_log_likelihood(config.reconstruction_weight / config.kl_weight)
    elif config.reconstruction_loss == "bce":
        log_likelihood = bernoulli_log_likelihood
    else:
        return {}
    count, samples = min(config.likelihood_examples, len(mean)), config.likelihood_samples
    bound = jax.jit(
        lambda key, pixels, mean, log_var: importance_weighted_bound(
            key, pixels, mean, log_var, lambda z: decode(decoder, run.state, z), log_likelihood, samples
        )
    )
    values = bound(run.key, images_at(run, run.data.test, np.arange(count)), mean[:count], log_var[:count])
    protocol = {"log_likelihood_bound": f"{samples} importance samples, {count} test images; nats"}
    return {"log_likelihood_bound": float(values.mean()), "protocol": protocol}
