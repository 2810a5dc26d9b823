import numpy as np
import pytest
from scipy import special

from gdl_jax.losses.classification import accuracy, attribute_accuracy, binary_cross_entropy, cross_entropy

RNG = np.random.default_rng(0)


def test_cross_entropy_matches_scipy():
    logits, labels = RNG.normal(size=(20, 7)).astype(np.float32) * 5, RNG.integers(7, size=20)
    probabilities = special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(cross_entropy(logits, labels), -np.log(probabilities[np.arange(20), labels]), rtol=1e-4)


def test_large_logits_do_not_overflow():
    logits = np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32)
    np.testing.assert_allclose(cross_entropy(logits, np.array([1, 1])), [1e4, 0.0])
    np.testing.assert_allclose(binary_cross_entropy(logits[:, :1], np.zeros((2, 1))), [1e4, 0.0])


def test_binary_cross_entropy_matches_scipy():
    logits, targets = RNG.normal(size=(20, 4)).astype(np.float32), RNG.integers(2, size=(20, 4)).astype(np.float32)
    p = special.expit(logits.astype(np.float64))
    expected = -(special.xlogy(targets, p) + special.xlogy(1 - targets, 1 - p)).mean(1)
    np.testing.assert_allclose(binary_cross_entropy(logits, targets), expected, rtol=1e-4)


def test_accuracies():
    logits = np.array([[1.0, 3.0, 2.0], [0.5, -1.0, 0.0]], np.float32)
    assert accuracy(logits, np.array([1, 2])).tolist() == [1.0, 0.0]
    targets = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]], np.float32)
    np.testing.assert_allclose(attribute_accuracy(logits, targets), [1.0, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "targets"),
    [
        (cross_entropy, np.zeros((5, 1), int)),
        (cross_entropy, np.zeros(1, int)),
        (cross_entropy, np.zeros(5, np.float32)),
        (accuracy, np.zeros((5, 1), int)),
        (binary_cross_entropy, np.zeros((5, 1), np.float32)),
        (attribute_accuracy, np.zeros(3, np.float32)),
    ],
)
def test_wrong_shapes_and_types_are_refused(function, targets):
    with pytest.raises(AssertionError):
        function(np.zeros((5, 3), np.float32), targets)
