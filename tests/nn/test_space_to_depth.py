"""Strided convolutions on blocks of pixels against lax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gdl_jax.nn.layers import Conv
from gdl_jax.nn.space_to_depth import StridedConv, space_to_depth, strided_conv


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_block_becomes_one_pixel_row_by_row():
    x = normal(0, (2, 4, 6, 3))
    y = space_to_depth(x, 2)
    assert y.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(y[1, 1, 2], np.concatenate([x[1, 2, 4], x[1, 2, 5], x[1, 3, 4], x[1, 3, 5]]))


@pytest.mark.parametrize(
    ("size", "kernel", "stride"),
    [((64, 64), (4, 4), 2), ((31, 31), (4, 4), 2), ((9, 14), (2, 4), 2), ((11, 13), (6, 3), 3), ((5, 7), (3, 2), 1)],
)
def test_values_and_gradients_are_laxs(size, kernel, stride):
    x, w = normal(0, (2, *size, 3)), normal(1, (*kernel, 3, 4))

    def reference(x, w):
        return lax.conv_general_dilated(x, w, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    @jax.jit
    def both(x, w):
        expected, expected_vjp = jax.vjp(reference, x, w)
        actual, actual_vjp = jax.vjp(lambda x, w: strided_conv(x, w, stride), x, w)
        cotangent = jnp.cos(jnp.arange(expected.size, dtype=jnp.float32)).reshape(expected.shape)
        return (actual, *actual_vjp(cotangent)), (expected, *expected_vjp(cotangent))

    for a, e in zip(*both(x, w), strict=True):
        assert a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_layer_matches_the_plain_convolution(dtype):
    x = normal(0, (2, 15, 12, 3))
    variables = {"params": {"kernel": normal(1, (4, 4, 3, 5)), "bias": normal(2, (5,))}}
    expected = jax.jit(Conv(5, 4, 2, "VALID", dtype=dtype).apply)(variables, x)
    layer = StridedConv(5, 4, 2, dtype=dtype)
    actual = jax.jit(layer.apply)(variables, x)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), x))
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, variables)
    assert actual.dtype == expected.dtype == dtype
    tolerance = 1e-4 if dtype == jnp.float32 else 0.2
    np.testing.assert_allclose(actual.astype(np.float32), expected.astype(np.float32), atol=tolerance)
