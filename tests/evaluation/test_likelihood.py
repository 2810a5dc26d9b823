"""The importance-weighted bound, against models with known evidence."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from gdl_jax.evaluation.likelihood import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted_bound,
)

PIXELS, WEIGHT = 6, 12.0
NOISE_VARIANCE = PIXELS / (2 * WEIGHT)  # of x given z


@pytest.fixture(scope="module")
def linear():
    """A model x = W z + noise with orthogonal columns in W: its exact posterior is a diagonal Gaussian."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(PIXELS, 2)))
    w = basis * [2.0, 0.7]
    x = rng.normal(size=(5, PIXELS))
    variance = 1 / (1 + (w**2).sum(0) / NOISE_VARIANCE)
    mean = x @ w * variance / NOISE_VARIANCE
    evidence = stats.multivariate_normal(cov=w @ w.T + NOISE_VARIANCE * np.eye(PIXELS)).logpdf(x)
    bound = jax.jit(
        partial(
            importance_weighted_bound,
            decode=lambda z: z @ jnp.asarray(w.T, jnp.float32),
            log_likelihood=gaussian_log_likelihood(WEIGHT),
        ),
        static_argnames="num_samples",
    )
    as_float32 = (np.asarray(a, np.float32) for a in (x, mean, np.broadcast_to(np.log(variance), mean.shape)))
    return bound, *as_float32, evidence


@pytest.mark.parametrize("num_samples", [1, 10])
def test_exact_posterior_gives_the_evidence_for_any_sample(linear, num_samples):
    bound, x, mean, log_var, evidence = linear
    for seed in (0, 1):
        estimate = bound(jax.random.key(seed), x, mean, log_var, num_samples=num_samples)
        np.testing.assert_allclose(estimate, evidence, rtol=1e-4, atol=1e-4)


def test_wrong_posterior_gives_elbo_then_evidence(linear):
    bound, x, mean, log_var, evidence = linear
    extra = 1.0  # log of q's excess variance; E[bound with K = 1] = evidence - KL(q || posterior)
    gap = 2 * 0.5 * (np.exp(extra) - 1 - extra)
    copies = [np.repeat(a, 4000, axis=0) for a in (x, mean, log_var + np.float32(extra))]
    single = np.asarray(bound(jax.random.key(0), *copies, num_samples=1)).reshape(5, 4000).mean(1)
    np.testing.assert_allclose(single, evidence - gap, atol=0.15)
    many = bound(jax.random.key(1), x, mean, log_var + np.float32(extra), num_samples=20_000)
    np.testing.assert_allclose(many, evidence, atol=0.05)


def test_bernoulli_likelihood_matches_quadrature():
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=PIXELS), rng.integers(2, size=(3, PIXELS)).astype(np.float64)

    def joint(z, image):
        p = special.expit(w * z)
        return stats.norm.pdf(z) * np.prod(np.where(image == 1, p, 1 - p))

    evidence = [np.log(integrate.quad(joint, -12, 12, args=(image,))[0]) for image in x]
    bound = importance_weighted_bound(
        jax.random.key(0),
        jnp.asarray(x, jnp.float32),
        jnp.zeros((3, 1)),
        jnp.full((3, 1), 0.3),
        lambda z: jax.nn.sigmoid(z * jnp.asarray(w, jnp.float32)),
        bernoulli_log_likelihood,
        num_samples=50_000,
    )
    np.testing.assert_allclose(bound, evidence, atol=0.02)
