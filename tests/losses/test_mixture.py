import jax
import numpy as np
import pytest
from scipy import integrate, special, stats

from gdl_jax.losses.mixture import mixture_negative_log_likelihood


def reference(x, log_weights, means, log_sigmas):
    """Returns the loss by SciPy, in float64."""
    x, log_weights, means, log_sigmas = (np.asarray(a, np.float64) for a in (x, log_weights, means, log_sigmas))
    log_weights = log_weights - special.logsumexp(log_weights, axis=-1, keepdims=True)
    return -special.logsumexp(log_weights + stats.norm.logpdf(x[..., None], means, np.exp(log_sigmas)), axis=-1)


def mixtures(seed, shape, spread=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * spread
    return tuple(a.astype(np.float32) for a in (x, *(rng.normal(size=(3, *shape, 5)) * spread)))


def test_loss_per_dimension_matches_scipy():
    arguments = mixtures(0, (3, 4, 8))
    actual = mixture_negative_log_likelihood(*arguments)
    assert actual.shape == (3, 4, 8)
    np.testing.assert_allclose(actual, reference(*arguments), rtol=1e-5, atol=1e-5)


EXTREMES = {
    "wide spread": mixtures(1, (200,), spread=10.0),
    "far away": (np.float32([1e4, -1e4]), np.zeros((2, 5), np.float32), np.zeros((2, 5), np.float32), np.zeros((2, 5))),
    "narrow": (np.float32([1.0]), np.zeros((1, 5)), np.float32([[1.0, 1, 1, 1, 2]]), np.full((1, 5), -20.0)),
    "near a narrow one": (np.float32([1.5]), np.zeros((1, 5)), np.ones((1, 5)), np.full((1, 5), -40.0)),
    "broad": (np.float32([3.0]), np.zeros((1, 5)), np.ones((1, 5)), np.full((1, 5), 80.0)),
    "one dominant weight": (
        np.float32([0.5]),
        np.float32([[1e4, 0, -1e4, 0, 0]]),
        np.ones((1, 5)),
        np.ones((1, 5)),
    ),
    "large logits": (np.float32([0.5]), np.full((1, 5), 3e4), np.ones((1, 5)), np.ones((1, 5))),
}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", EXTREMES.values(), ids=EXTREMES)
def test_extremes_match_scipy_with_finite_gradients(arguments):
    arguments = tuple(np.asarray(a, np.float32) for a in arguments)
    np.testing.assert_allclose(mixture_negative_log_likelihood(*arguments), reference(*arguments), rtol=1e-4, atol=1e-4)
    gradients = jax.grad(lambda *a: mixture_negative_log_likelihood(*a).sum(), (0, 1, 2, 3))(*arguments)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.slow
def test_gradients_match_finite_differences_of_scipy():
    arguments = mixtures(2, (4, 3))
    gradients = jax.grad(lambda *a: mixture_negative_log_likelihood(*a).sum(), (0, 1, 2, 3))(*arguments)
    rng = np.random.default_rng(3)
    for number, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        ends = [
            reference(*(a + s * direction if i == number else a for i, a in enumerate(arguments))).sum()
            for s in (1e-6, -1e-6)
        ]
        assert np.sum(gradient * direction) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-3)


def test_density_integrates_to_one_with_unnormalised_weights():
    grid = np.linspace(-40, 40, 20_001, dtype=np.float32)
    _, log_weights, means, log_sigmas = (np.broadcast_to(a, (len(grid), *a.shape[1:])) for a in mixtures(4, (1,)))
    density = np.exp(-mixture_negative_log_likelihood(grid, log_weights + 7, means, log_sigmas))
    assert integrate.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    "shapes",
    [
        [(4, 1), (4, 3, 5), (4, 3, 5), (4, 3, 5)],
        [(4, 3), (4, 3, 1), (4, 3, 5), (4, 3, 5)],
        [(3,), (4, 3, 5), (4, 3, 5), (4, 3, 5)],
    ],
)
def test_wrong_shapes_are_refused(shapes):
    with pytest.raises(AssertionError):
        mixture_negative_log_likelihood(*map(np.ones, shapes))
