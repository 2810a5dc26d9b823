"""The perceptual distance of feature maps, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.evaluation.perceptual import perceptual_distance

SHAPES = {"fine": (3, 8, 6, 4), "coarse": (3, 2, 2, 16)}


def features(seed):
    rng = np.random.default_rng(seed)
    return {layer: rng.uniform(0, 5, shape).astype(np.float32) for layer, shape in SHAPES.items()}


def test_matches_a_loop_over_positions():
    a, b = features(0), features(1)
    expected = np.zeros(3)
    for layer, (count, height, width, _) in SHAPES.items():
        for i in range(count):
            for row, column in np.ndindex(height, width):
                f, g = a[layer][i, row, column], b[layer][i, row, column]
                cosine = (f @ g) / np.sqrt((f @ f) * (g @ g))
                expected[i] += (2 - 2 * cosine) / (height * width)  # |u - v|^2 of unit vectors
    np.testing.assert_allclose(perceptual_distance(a, b), expected, rtol=1e-4)


def test_is_symmetric_ignores_scale_and_is_zero_for_equal_features():
    a, b = features(0), features(1)
    np.testing.assert_allclose(perceptual_distance(a, b), perceptual_distance(b, a), rtol=1e-6)
    np.testing.assert_array_equal(perceptual_distance(a, a), 0)
    brighter = {layer: 3 * values for layer, values in a.items()}
    np.testing.assert_allclose(perceptual_distance(brighter, b), perceptual_distance(a, b), rtol=1e-4)


def test_silent_features_give_no_nan():
    silent = {"fine": jnp.zeros((1, 2, 2, 4))}
    loud = {"fine": jnp.ones((1, 2, 2, 4))}
    np.testing.assert_array_equal(perceptual_distance(silent, silent), 0)
    np.testing.assert_allclose(perceptual_distance(silent, loud), 1, rtol=1e-6)


def test_other_layers_are_refused():
    a = features(0)
    with pytest.raises(ValueError):
        perceptual_distance(a, {"fine": a["fine"]})
