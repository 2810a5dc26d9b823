"""Convolutions along one axis against lax's 3-D convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gdl_jax.nn.axis_conv import (
    AxisConv,
    AxisConvTranspose,
    AxisRepeat,
    axis_conv,
    axis_conv_transpose,
    axis_repeat,
)

LAYOUT = ("NDHWC", "DHWIO", "NDHWC")
SHAPE = (2, 3, 8, 24, 5)  # (B, bars, steps, pitches, C)
FEATURES = 4
# axis, kernel, stride, padding: those of MuseGAN's critic, and windows that overlap, leave gaps or don't fit
CASES = [
    (1, 2, 1, "VALID"),
    (1, 3, 1, "VALID"),
    (2, 2, 2, "SAME"),
    (2, 4, 2, "SAME"),
    (2, 3, 2, "SAME"),
    (2, 3, 3, "SAME"),
    (2, 8, 3, "VALID"),
    (2, 8, 1, "SAME"),
    (3, 12, 12, "SAME"),
    (3, 7, 7, "SAME"),
    (-2, 12, 12, "VALID"),
]


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def along(size, axis):
    """Returns a kernel shape or strides (bars, steps, pitches): `size` along the axis, 1 along the others."""
    return tuple(size if i + 1 == axis % len(SHAPE) else 1 for i in range(3))


def conv_3d(x, w, axis, stride, padding):
    kernel = w.reshape(*along(len(w), axis), *w.shape[1:])
    return lax.conv_general_dilated(x, kernel, along(stride, axis), padding, dimension_numbers=LAYOUT)


def conv_transpose_3d(x, w, axis, stride):
    kernel = w.swapaxes(1, 2).reshape(*along(len(w), axis), w.shape[2], w.shape[1])
    strides = along(stride, axis)
    return lax.conv_transpose(x, kernel, strides, "VALID", dimension_numbers=LAYOUT, transpose_kernel=True)


def penalty(function):
    """Returns a gradient penalty, the squared norm of a gradient, whose own gradient is of second order."""

    def of_gradient(x, w):
        gradient = jax.grad(lambda x: jnp.sum(jnp.tanh(function(x, w))))(x)
        return jnp.sum(jnp.square(gradient))

    return of_gradient


def assert_equal_with_gradients(function, reference, x, w):
    """Asserts equal values and gradients, of the functions and of their gradient penalties."""
    for one, other in ((function, reference), (penalty(function), penalty(reference))):

        @jax.jit
        def values_and_gradients(x, w, one=one, other=other):
            def both(f):
                y, vjp = jax.vjp(f, x, w)
                return y, *vjp(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

            return both(one), both(other)

        for actual, expected in zip(*values_and_gradients(x, w), strict=True):
            assert actual.shape == expected.shape
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("axis", "kernel", "stride", "padding"), CASES)
def test_axis_conv_is_a_3d_convolution(axis, kernel, stride, padding):
    x, w = normal(0, SHAPE), 0.3 * normal(1, (kernel, SHAPE[-1], FEATURES))
    assert_equal_with_gradients(
        lambda x, w: axis_conv(x, w, axis, stride, padding),
        lambda x, w: conv_3d(x, w, axis, stride, padding),
        x,
        w,
    )


@pytest.mark.parametrize(("axis", "times"), [(1, 2), (2, 3), (3, 12), (-2, 7)])
def test_axis_repeat_is_a_transposed_3d_convolution(axis, times):
    x, w = normal(0, SHAPE), 0.3 * normal(1, (times, SHAPE[-1], FEATURES))
    assert_equal_with_gradients(
        lambda x, w: axis_repeat(x, w, axis), lambda x, w: conv_transpose_3d(x, w, axis, times), x, w
    )


@pytest.mark.parametrize(("axis", "kernel"), [(1, 2), (1, 1), (2, 5), (-2, 3)])
def test_axis_conv_transpose_is_a_transposed_3d_convolution(axis, kernel):
    x, w = normal(0, SHAPE), 0.1 * normal(1, (kernel, SHAPE[-1], FEATURES))
    assert_equal_with_gradients(
        lambda x, w: axis_conv_transpose(x, w, axis), lambda x, w: conv_transpose_3d(x, w, axis, 1), x, w
    )


def test_any_number_of_axes():
    x, w = normal(0, (2, 6, 3)), normal(1, (2, 3, 4))
    expected = np.einsum("bnkc,kcf->bnf", x.reshape(2, 3, 2, 3), w)
    np.testing.assert_allclose(axis_conv(x, w, 1, 2), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(axis_repeat(x, w, 1)[:, 1::2], np.einsum("bnc,cf->bnf", x, w[1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (AxisConv(6, 8, 2, strides=8), lambda x, w: axis_conv(x, w, 2, 8)),
        (AxisRepeat(6, 2, 3), lambda x, w: axis_repeat(x, w, 3)),
        (AxisConvTranspose(6, 2, 3), lambda x, w: axis_conv_transpose(x, w, 3)),
    ],
)
def test_layers_add_a_bias_and_compute_in_their_dtype(layer, function):
    x = normal(0, SHAPE)
    params = {"kernel": normal(1, (layer.kernel_size, SHAPE[-1], 6)), "bias": normal(2, (6,))}
    shapes = jax.eval_shape(lambda x: layer.init(jax.random.key(0), x)["params"], x)
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
    coarse = layer.clone(dtype=jnp.bfloat16)
    both = jax.jit(lambda x, params: [module.apply({"params": params}, x) for module in (layer, coarse)])
    exact, approximate = both(x, params)
    np.testing.assert_allclose(exact, function(x, params["kernel"]) + params["bias"], rtol=1e-5, atol=1e-5)
    assert approximate.dtype == jnp.bfloat16
    np.testing.assert_allclose(approximate.astype(jnp.float32), exact, atol=0.3)
