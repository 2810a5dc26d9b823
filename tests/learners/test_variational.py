import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.learners.variational import reparameterise, vae
from gdl_jax.losses.reconstruction import mse
from gdl_jax.models import autoencoder
from tests.learners.digits import CONFIG, digits, first_state, fit, mean_of

DIM, LOG_VAR = 4, -1.0


class FixedVariance(nn.Module):
    """Encoder with a known posterior, x -> (x, log-variance LOG_VAR)."""

    @nn.compact
    def __call__(self, x, *, train=False):
        self.param("unused", nn.initializers.zeros, ())
        return x, jnp.full_like(x, LOG_VAR)


class Identity(nn.Module):
    @nn.compact
    def __call__(self, z, *, train=False):
        self.param("unused", nn.initializers.zeros, ())
        return z


def make(**weights):
    learner = vae(FixedVariance(), Identity(), OPTIMIZERS["sgd"](1.0), mse, z_dim=DIM, **weights)
    batch = {"image": np.random.default_rng(0).normal(size=(5000, DIM)).astype(np.float32)}
    return learner, first_state(learner, batch), batch


@pytest.mark.slow
def test_reparameterised_samples_have_exact_moments_and_gradients():
    mean, log_var, noise = jnp.float32(2.0), jnp.float32(0.6), np.random.default_rng(0).normal(size=20_000)
    draws = np.asarray(reparameterise(mean, log_var, noise.astype(np.float32)))
    assert draws.mean() == pytest.approx(2.0, abs=0.05) and draws.var() == pytest.approx(np.exp(0.6), rel=0.05)
    # d/d log_var E[z^2] = exp(log_var)
    gradient = jax.grad(lambda lv: jnp.mean(reparameterise(mean, lv, noise.astype(np.float32)) ** 2))(log_var)
    assert float(gradient) == pytest.approx(np.exp(0.6), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("free_bits", [0.0, 0.7])
def test_losses_of_a_known_posterior_are_the_closed_forms(free_bits):
    learner, state, batch = make(reconstruction_weight=30.0, kl_weight=2.0, free_bits=free_bits)
    kl = 0.5 * (batch["image"].astype(np.float64) ** 2 + np.exp(LOG_VAR) - 1 - LOG_VAR)
    reconstruction = 30.0 * np.exp(LOG_VAR)  # the decoder is the identity: the error is the posterior's variance
    penalised = np.maximum(kl, free_bits).sum(1).mean()
    _, metrics = learner.step(state, batch, jax.random.key(1))
    for means in (metrics, mean_of(learner, state, batch)):
        assert float(means["reconstruction_loss"]) == pytest.approx(reconstruction, rel=0.05)
        assert float(means["kl_loss"]) == pytest.approx(kl.sum(1).mean(), rel=1e-4)
        assert float(means["loss"] - means["reconstruction_loss"]) == pytest.approx(2.0 * penalised, rel=1e-3)


def test_samples_are_decoded_from_the_prior():
    learner, state, _ = make(reconstruction_weight=1.0)
    codes = np.asarray(learner.sample(state, jax.random.key(0), 5000))
    assert codes.shape == (5000, DIM)
    np.testing.assert_allclose(codes.mean(0), 0, atol=0.08)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(DIM), atol=0.08)


@pytest.mark.slow
def test_learns_digits_and_uses_its_codes():
    train, test = digits()
    learner = vae(
        autoencoder.GaussianEncoder(CONFIG),
        autoencoder.Decoder(CONFIG, (28, 28, 1)),
        OPTIMIZERS["adam"](3e-3),
        mse,
        z_dim=2,
        reconstruction_weight=1000.0,
    )
    state, _ = fit(learner, train, steps=400)
    means = mean_of(learner, state, test)
    best_without_codes = 1000 * np.mean((test["image"] - test["image"].mean(0)) ** 2)
    assert means["loss"] < 0.95 * best_without_codes and means["kl_loss"] > 1
    assert means["loss"] == pytest.approx(means["reconstruction_loss"] + means["kl_loss"], rel=1e-5)
