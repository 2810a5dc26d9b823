import numpy as np
import pytest
from scipy import integrate, stats

from gdl_jax.losses.gaussian import kl_to_standard_normal, log_normal, with_free_bits


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (1.5, -1.0), (-0.7, 0.8), (0.0, -3.0)])
def test_divergence_matches_quadrature(mean, log_var):
    q, p = stats.norm(mean, np.exp(log_var / 2)), stats.norm()
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mean - 20, mean + 20, points=[mean])
    kl = kl_to_standard_normal(np.full((1, 1), mean, np.float32), np.full((1, 1), log_var, np.float32))
    assert float(kl[0, 0]) == pytest.approx(expected, abs=1e-5)


def test_divergence_is_per_dimension_and_positive():
    mean, log_var = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    kl = kl_to_standard_normal(mean, log_var)
    assert kl.shape == (6, 3) and (kl > 0).all()


def test_log_normal_matches_scipy():
    x, mean, log_var = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    expected = stats.norm.logpdf(x, mean, np.exp(log_var.astype(np.float64) / 2))
    np.testing.assert_allclose(log_normal(x, mean, log_var), expected, rtol=1e-5, atol=1e-5)


def test_free_bits_are_a_minimum_per_dimension():
    kl = np.array([[0.0, 0.4, 2.0], [1.0, 1.0, 0.1]], np.float32)
    np.testing.assert_allclose(with_free_bits(kl, 0.5), [0.5 + 0.5 + 2.0, 1.0 + 1.0 + 0.5], rtol=1e-6)
    np.testing.assert_allclose(with_free_bits(kl, 0.0), [2.4, 2.1], rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (kl_to_standard_normal, [(4, 3), (4, 1)]),
        (kl_to_standard_normal, [(3,), (3,)]),
        (log_normal, [(4, 1), (4, 3), (4, 3)]),  # would broadcast x
        (log_normal, [(4, 3), (4,), (3,)]),
        (lambda kl: with_free_bits(kl, 0.5), [(3,)]),
    ],
)
def test_wrong_shapes_are_refused(function, shapes):
    with pytest.raises(AssertionError):
        function(*map(np.ones, shapes))
