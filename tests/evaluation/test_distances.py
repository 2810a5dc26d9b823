"""Distances between sets of samples, against closed forms and SciPy's matrix square root."""

import tracemalloc

import numpy as np
import pytest
from scipy import linalg

from gdl_jax.evaluation import distances
from gdl_jax.evaluation.distances import (
    density_and_coverage,
    frechet_distance,
    kernel_distance,
    pairwise_distances,
    precision_and_recall,
)


def gaussian(seed, count, mean=0.0, scale=1.0, dim=8):
    return np.random.default_rng(seed).normal(size=(count, dim)) * scale + mean


def correlated(seed, count, dim=40):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) + rng.normal(size=dim)


@pytest.mark.parametrize("count", [30, 500])  # fewer samples than dimensions, and more
def test_frechet_distance_matches_scipys_matrix_square_root(count):
    a, b = correlated(0, count), correlated(1, count)
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = linalg.sqrtm(c @ d + (1e-10 * np.eye(40) if count < 40 else 0)).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(c + d - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_frechet_distance_of_gaussians_matches_the_closed_form():
    a, b = gaussian(0, 200_000, 0.0, 1.0), gaussian(1, 200_000, 0.5, 2.0)
    # |m1 - m2|^2 + sum (s1 - s2)^2 = 8 * 0.25 + 8 * 1
    assert frechet_distance(a, b) == pytest.approx(10.0, rel=0.01)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def test_kernel_distance_is_unbiased_for_equal_distributions():
    values = [kernel_distance(gaussian(s, 50), gaussian(s + 1000, 50)) for s in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_normalised_kernel_distance_does_not_depend_on_the_size_of_features():
    real, fake = gaussian(0, 50), gaussian(1, 60) + 0.5
    found = kernel_distance(real, fake, normalise=True)
    sizes = np.random.default_rng(2).uniform(0.1, 1e3, (60, 1))
    assert kernel_distance(1e3 * real, sizes * fake, normalise=True) == pytest.approx(found)
    assert kernel_distance(1e3 * real, sizes * fake) != pytest.approx(found)
    units = [np.sqrt(x.shape[1]) * x / np.linalg.norm(x, axis=1, keepdims=True) for x in (real, fake)]
    assert found == pytest.approx(kernel_distance(*units))


def test_kernel_distance_of_gaussians_matches_the_closed_form():
    # In one dimension, k(x, y) = (xy + 1)^3 = 1 + 3 xy + 3 x^2 y^2 + x^3 y^3, so that the squared MMD is
    # 3 (E x - E y)^2 + 3 (E x^2 - E y^2)^2 + (E x^3 - E y^3)^2; for N(0, 1) and N(1, 4): moments 0, 1, 0 and 1, 5, 13.
    expected = 3 * 1 + 3 * 16 + 169
    values = [kernel_distance(gaussian(s, 1000, dim=1), gaussian(s + 99, 1000, 1, 2, dim=1)) for s in range(20)]
    assert np.mean(values) == pytest.approx(expected, rel=0.1)


def test_pairwise_distances():
    a, b = gaussian(0, 5), gaussian(1, 7)
    expected = np.linalg.norm(a[:, None] - b[None], axis=2)
    np.testing.assert_allclose(pairwise_distances(a, b), expected, rtol=1e-10)


def test_precision_and_recall_of_missing_modes_and_outliers():
    real = np.concatenate([gaussian(0, 300, -10), gaussian(1, 300, 10)])
    one_mode = gaussian(2, 300, 10)
    precision, recall = precision_and_recall(real, one_mode)
    assert precision > 0.8 and 0.3 < recall < 0.55
    precision, recall = precision_and_recall(real, np.concatenate([real, gaussian(3, 600, 50)]))
    assert precision == pytest.approx(0.5, abs=0.01) and recall == 1.0


def test_density_and_coverage():
    real = np.concatenate([gaussian(0, 300, -10), gaussian(1, 300, 10)])
    density, coverage = density_and_coverage(real, gaussian(2, 300, 10))
    assert density > 0.7 and 0.4 < coverage < 0.55
    density, coverage = density_and_coverage(real, gaussian(3, 300, 50))
    assert density == 0 and coverage == 0


def test_blocks_give_the_same_values_in_less_memory(monkeypatch):
    real, fake = gaussian(0, 900), gaussian(1, 700, 0.3)

    def numbers():
        return kernel_distance(real, fake), *precision_and_recall(real, fake), *density_and_coverage(real, fake)

    at_once = numbers()
    monkeypatch.setattr(distances, "PAIRS_AT_ONCE", 16 * 900)
    tracemalloc.start()
    np.testing.assert_allclose(numbers(), at_once, rtol=1e-12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * 8 * 900 * 700, peak
