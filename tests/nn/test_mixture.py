"""Samples of mixtures against exact weights, moments and distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from gdl_jax.nn.mixture import mixture_sample

DRAWS = 40_000
LOG_WEIGHTS = np.float32([0.3, -1.2, 1.0, 0.0, -3.0])
MEANS = np.float32([-40.0, -20.0, 0.0, 20.0, 40.0])  # far enough apart to identify a sample's component
LOG_SIGMAS = np.float32([0.0, 0.5, -0.5, 0.7, 0.2])


def draw(seed, *mixture, temperature=1.0, draws=DRAWS):
    repeated = (jnp.broadcast_to(a, (draws, *a.shape)) for a in mixture)
    return np.asarray(jax.jit(mixture_sample)(jax.random.key(seed), *repeated, temperature))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_components_are_sampled_by_their_tempered_weights(temperature):
    """Tests at the level 1e-3, with a fixed seed."""
    drawn = draw(0, LOG_WEIGHTS, MEANS, LOG_SIGMAS, temperature=temperature)
    counts = np.bincount(np.abs(drawn[:, None] - MEANS).argmin(1), minlength=5)
    expected = DRAWS * special.softmax(LOG_WEIGHTS.astype(float) / temperature)
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    for other in {0.5, 1.0, 1.5} - {temperature}:
        wrong = DRAWS * special.softmax(LOG_WEIGHTS.astype(float) / other)
        assert stats.chisquare(counts, wrong).pvalue < 1e-6  # the test has power


@pytest.mark.parametrize("temperature", [0.25, 1.0, 2.0])
def test_each_component_is_normal_with_its_tempered_deviation(temperature):
    drawn = draw(1, LOG_WEIGHTS, MEANS, LOG_SIGMAS, temperature=temperature)
    nearest = np.abs(drawn[:, None] - MEANS).argmin(1)
    for k in range(4):
        sigma = np.exp(LOG_SIGMAS[k]) * np.sqrt(temperature)
        assert stats.kstest(drawn[nearest == k], stats.norm(MEANS[k], sigma).cdf).pvalue > 1e-3


def test_overlapping_components_have_the_mixtures_distribution():
    means, log_sigmas = np.float32([-1.0, 0.0, 0.5, 2.0, 3.0]), np.float32([-1.0, 0.0, -2.0, 0.5, 0.1])
    drawn = draw(2, LOG_WEIGHTS, means, log_sigmas)
    weights, sigmas = special.softmax(LOG_WEIGHTS), np.exp(log_sigmas)
    assert stats.kstest(drawn, lambda x: weights @ stats.norm.cdf(x, means[:, None], sigmas[:, None])).pvalue > 1e-3
    mean = weights @ means
    variance = weights @ (sigmas**2 + (means - mean) ** 2)
    assert drawn.mean() == pytest.approx(mean, abs=5 * float(np.sqrt(variance / DRAWS)))
    assert drawn.var() == pytest.approx(variance, rel=0.05)


def test_dimensions_components_and_noise_are_independent():
    """Correlations of components and noises, in two dimensions, are 0."""
    mixture = (np.zeros((2, 2), np.float32), np.float32([[-50, 50]] * 2), np.zeros((2, 2), np.float32))
    drawn = draw(3, *mixture)
    side = np.sign(drawn)
    noise = drawn - 50 * side
    both = np.corrcoef(np.concatenate([side, noise], 1).T)
    np.testing.assert_allclose(both, np.eye(4), atol=5 / np.sqrt(DRAWS))


def test_extreme_weights_and_low_temperature():
    certain = np.float32([-1e4, 1e4, 0.0, -np.inf, -np.inf])
    assert np.abs(draw(4, certain, MEANS, LOG_SIGMAS) - MEANS[1]).max() < 10
    cold = draw(5, LOG_WEIGHTS, MEANS, LOG_SIGMAS, temperature=1e-4)
    np.testing.assert_allclose(cold, MEANS[2], atol=0.1)  # the heaviest component, almost without noise
