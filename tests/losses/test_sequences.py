"""Losses of padded sequences against SciPy and hand-computed values."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from gdl_jax.losses.sequences import masked_mean, masked_sum, token_cross_entropy


def test_token_cross_entropy_matches_scipy():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(3, 4, 5)).astype(np.float32) * 3, rng.integers(0, 5, (3, 4))
    expected = -np.take_along_axis(special.log_softmax(logits, axis=-1), targets[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(token_cross_entropy(logits, targets), expected, rtol=1e-5, atol=1e-6)


def test_padding_is_ignored():
    values = jnp.array([[1.0, 3.0, jnp.nan], [5.0, jnp.inf, 7.0], [jnp.nan, 1.0, 2.0]])
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(masked_sum(values, mask), [4.0, 5.0, 0.0])
    np.testing.assert_array_equal(masked_mean(values, mask), [2.0, 5.0, 0.0])
    np.testing.assert_array_equal(masked_mean(values, mask.astype(bool)), [2.0, 5.0, 0.0])


@pytest.mark.parametrize(
    ("function", "first", "second"),
    [
        (token_cross_entropy, (3, 4, 5), np.zeros((3, 1), int)),
        (token_cross_entropy, (3, 4, 5), np.zeros((3, 4), np.float32)),
        (token_cross_entropy, (4, 5), np.zeros(4, int)),
        (masked_sum, (3, 4), np.ones((3, 1))),
        (masked_mean, (3, 4), np.ones(4)),
        (masked_mean, (4,), np.ones(4)),
    ],
)
def test_wrong_shapes_and_types_are_refused(function, first, second):
    with pytest.raises(AssertionError):
        function(np.ones(first, np.float32), second)
