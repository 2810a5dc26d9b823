import chex
import jax
import numpy as np
import pytest
from scipy import special

from gdl_jax.losses.reconstruction import RECONSTRUCTION_LOSSES, bce, mse, rmse


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.uniform(size=(2, 5, 4, 3, 2)).astype(np.float32)


def test_squared_errors_match_numpy(pair):
    target, prediction = pair.astype(np.float64)
    expected = np.square(target - prediction).reshape(5, -1).mean(1)
    chex.assert_trees_all_close((mse(*pair), rmse(*pair)), (expected, np.sqrt(expected)), rtol=1e-5)


def test_cross_entropy_is_entropy_plus_divergence(pair):
    target, prediction = pair.astype(np.float64).reshape(2, 5, -1)
    entropy = special.entr(target) + special.entr(1 - target)
    divergence = special.rel_entr(target, prediction) + special.rel_entr(1 - target, 1 - prediction)
    np.testing.assert_allclose(bce(*pair), (entropy + divergence).mean(1), rtol=1e-4)


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES.values(), ids=RECONSTRUCTION_LOSSES)
def test_saturated_predictions_have_finite_gradients(loss):
    target = np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)
    prediction = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)  # exactly right, and completely wrong
    values, gradient = loss(target, prediction), jax.grad(lambda p: loss(target, p).sum())(prediction)
    assert np.isfinite(values).all() and np.isfinite(gradient).all()
    assert values[0] < 1e-5 and values[1] > 0.9


def test_each_example_has_its_own_value(pair):
    target, prediction = pair
    changed = prediction.copy()
    changed[2] = 0.5
    for loss in RECONSTRUCTION_LOSSES.values():
        differs = np.asarray(loss(target, prediction) != loss(target, changed))
        assert differs.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("loss", RECONSTRUCTION_LOSSES.values(), ids=RECONSTRUCTION_LOSSES)
@pytest.mark.parametrize("target", [np.ones((5, 4, 1)), np.ones((5, 4)), np.ones((5, 4, 3), np.uint8)])
def test_wrong_shapes_and_types_are_refused(loss, target):
    with pytest.raises(AssertionError):
        loss(target, np.ones((5, 4, 3), np.float32))
