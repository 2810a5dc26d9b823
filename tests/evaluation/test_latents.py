import math

import numpy as np
import pytest
from scipy import stats

from gdl_jax.evaluation.latents import distance_between, distance_from_normal, latent_statistics

N = 4000


def normal_quantiles() -> np.ndarray:
    """Returns the quantiles (i + 1/2) / N of N(0, 1), by bisection of erf."""
    low, high = np.full(N, -8.0), np.full(N, 8.0)
    wanted = (np.arange(N) + 0.5) / N
    for _ in range(50):
        middle = (low + high) / 2
        below = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in middle]) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def test_latent_statistics_match_closed_forms():
    z = normal_quantiles()
    shift, scale = 0.8, 3.0
    numbers = latent_statistics(np.zeros((N, 3)), np.zeros((N, 3)), np.stack([z, z + shift, z * scale], axis=1))

    def cdf(x):
        return 0.5 * (1 + math.erf(x / math.sqrt(2)))

    shifted = 2 * cdf(shift / 2) - 1  # the CDFs of N(0, 1) and N(m, 1) differ most at m / 2
    at = math.sqrt(2 * math.log(scale) / (1 - scale**-2))  # those of N(0, 1) and N(0, s^2) where the densities cross
    scaled = cdf(at) - cdf(at / scale)
    assert numbers["latent_ks_distance_max"] == pytest.approx(shifted, abs=1e-3)
    assert numbers["latent_ks_distance_mean"] == pytest.approx((0 + shifted + scaled) / 3, abs=1e-3)
    assert numbers["latent_mean_max"] == pytest.approx(shift, abs=1e-6)
    assert numbers["latent_std_min"] == pytest.approx(1, abs=2e-3)
    assert numbers["latent_std_max"] == pytest.approx(scale, rel=2e-3)


def test_distances_match_scipy():
    rng = np.random.default_rng(0)
    codes, others = rng.normal(size=(300, 4)) * [1, 2, 1, 0.5] + [0, 0, 1, 0], rng.normal(size=(170, 4)).round(1)
    expected = [stats.kstest(column, "norm").statistic for column in codes.T]
    np.testing.assert_allclose(distance_from_normal(codes), expected, atol=1e-6)
    for one, other in ((codes, others), (others, codes)):
        expected = [stats.ks_2samp(*columns).statistic for columns in zip(one.T, other.T, strict=True)]
        np.testing.assert_allclose(distance_between(one, other), expected, atol=1e-12)
    others[3, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(distance_between(codes, others)), [False, True, False, False])


def test_active_dimensions_have_varying_posterior_means():
    signs = np.tile([1.0, -1.0], 50)
    mean = np.stack([signs * math.sqrt(variance) for variance in (0.0, 0.009, 0.011, 1.0)], axis=1)
    codes = np.random.default_rng(0).normal(size=mean.shape)  # collapsed dimensions have N(0, 1) codes too
    assert latent_statistics(mean, np.zeros_like(mean), codes)["active_latent_dimensions"] == 2
