"""Convolutions against lax.conv_general_dilated, its gradients, and NumPy sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from gdl_jax.nn import conv as conv_module
from gdl_jax.nn.conv import conv, conv_transpose, upsample_conv

# (height, width), kernel, stride, padding: odd and even sizes, strides that skip rows, rectangles.
CASES = [
    ((8, 8), (3, 3), 1, "SAME"),
    ((8, 8), (3, 3), 2, "SAME"),
    ((9, 7), (3, 3), 2, "SAME"),
    ((9, 8), (4, 4), 2, "SAME"),
    ((7, 11), (5, 5), 3, "SAME"),
    ((12, 13), (7, 3), 4, "SAME"),
    ((7, 7), (2, 2), 3, "SAME"),
    ((7, 6), (1, 1), 2, "SAME"),
    ((8, 21), (1, 7), (1, 7), "SAME"),
    ((9, 8), (2, 5), (2, 1), "SAME"),
    ((10, 9), (4, 4), 2, "VALID"),
    ((11, 9), (6, 5), 2, "VALID"),
    ((8, 8), (3, 3), 1, "VALID"),
    ((9, 9), (2, 3), 4, "VALID"),
    ((4, 14), (2, 7), (2, 7), "VALID"),
]


def reference(x, w, stride, padding):
    strides = (stride, stride) if isinstance(stride, int) else stride
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_close(actual, expected):
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), CASES)
def test_conv_and_its_gradients_are_laxs(size, kernel, stride, padding):
    x, w = normal(0, (2, *size, 3)), normal(1, (*kernel, 3, 4))

    @jax.jit
    def both(x, w):
        expected, expected_vjp = jax.vjp(lambda x, w: reference(x, w, stride, padding), x, w)
        actual, actual_vjp = jax.vjp(lambda x, w: conv(x, w, stride, padding), x, w)
        cotangent = jnp.cos(jnp.arange(expected.size, dtype=jnp.float32)).reshape(expected.shape)
        return (actual, *actual_vjp(cotangent)), (expected, *expected_vjp(cotangent))

    for actual, expected in zip(*both(x, w), strict=True):
        assert_close(actual, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), CASES)
def test_conv_transpose_is_the_input_gradient_of_conv(size, kernel, stride, padding):
    x, w = normal(0, (2, *size, 3)), normal(1, (*kernel, 3, 4))
    strides = (stride, stride) if isinstance(stride, int) else stride
    if padding == "SAME":
        large = [s * n for s, n in zip(strides, size, strict=True)]
    else:
        large = [s * (n - 1) + max(k, s) for s, n, k in zip(strides, size, kernel, strict=True)]

    def definition(x, w):
        zeros = jnp.zeros((2, *large, 4))
        _, vjp = jax.vjp(lambda image: reference(image, w.swapaxes(2, 3), stride, padding), zeros)
        return vjp(x)[0]

    @jax.jit
    def both(x, w):
        expected, expected_vjp = jax.vjp(definition, x, w)
        actual, actual_vjp = jax.vjp(lambda x, w: conv_transpose(x, w, stride, padding), x, w)
        cotangent = jnp.cos(jnp.arange(expected.size, dtype=jnp.float32)).reshape(expected.shape)
        return (actual, *actual_vjp(cotangent)), (expected, *expected_vjp(cotangent))

    for actual, expected in zip(*both(x, w), strict=True):
        assert_close(actual, expected)


def test_conv_by_hand():
    """With TensorFlow's SAME the odd zero is below and to the right: the first window starts at the first pixel."""
    x, w = normal(0, (1, 4, 4, 2)), normal(1, (3, 3, 2, 1))
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    expected = np.zeros((1, 2, 2, 1), np.float32)
    for i in range(2):
        for j in range(2):
            expected[0, i, j, 0] = (padded[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * w[..., 0]).sum()
    assert_close(conv(x, w, 2, "SAME"), expected)


def test_conv_transpose_by_hand():
    """Every input pixel adds the kernel at stride times its position; SAME drops the last row and column."""
    x, w = normal(0, (1, 3, 3, 2)), normal(1, (3, 3, 2, 1))
    stamped = np.zeros((1, 7, 7, 1), np.float32)
    for i in range(3):
        for j in range(3):
            stamped[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.tensordot(w, x[0, i, j], ([2], [0]))
    assert_close(conv_transpose(x, w, 2, "VALID"), stamped)
    assert_close(conv_transpose(x, w, 2, "SAME"), stamped[:, :6, :6])


@pytest.mark.parametrize("stride", [1, 2])
def test_gradient_of_a_gradient_penalty(stride):
    """As in WGAN-GP: the norm of the gradient with respect to the image is differentiated again."""
    x, w, v = normal(0, (3, 8, 8, 2)), 0.2 * normal(1, (5, 5, 2, 4)), 0.2 * normal(2, (4, 4, 2, 4))

    def reference_transpose(x, w, stride, padding):
        large = jnp.zeros((len(x), *(stride * n for n in x.shape[1:3]), w.shape[3]))
        return jax.vjp(lambda image: reference(image, w.swapaxes(2, 3), stride, padding), large)[1](x)[0]

    def penalty(conv, conv_transpose, x, w, v):
        def critic(x):
            features = jnp.tanh(conv(x, w, stride, "SAME"))
            return jnp.sum(jnp.tanh(conv_transpose(features, v.swapaxes(2, 3), stride, "SAME")))

        norm = jnp.sqrt(jnp.sum(jnp.square(jax.grad(critic)(x)), (1, 2, 3)))
        return jnp.mean(jnp.square(1 - norm))

    gradient = jax.jit(jax.grad(penalty, (2, 3, 4)), static_argnums=(0, 1))
    actual, expected = gradient(conv, conv_transpose, x, w, v), gradient(reference, reference_transpose, x, w, v)
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "features"),
    [((3, 3), 1, 2, 16), ((5, 5), 1, 8, 8), ((5, 3), 2, 16, 8), ((4, 4), 3, 8, 1)],
)
def test_chunked_batches_give_the_same_in_less_memory(monkeypatch, kernel, stride, channels, features):
    """The first case unfolds whole windows, the others parts of rows, which take less memory there."""
    x, w = normal(0, (16, 17, 13, channels)), normal(1, (*kernel, channels, features))
    expected, expected_vjp = jax.vjp(lambda x, w: reference(x, w, stride, "SAME"), x, w)
    cotangent = normal(2, expected.shape)
    memory = []
    for most in (2**23, 2**10):
        monkeypatch.setattr(conv_module, "LAID_OUT_AT_ONCE", most)
        compiled = jax.jit(lambda x, w: conv(x, w, stride)).lower(x, w).compile()
        memory.append(compiled.memory_analysis().temp_size_in_bytes)
        actual, actual_vjp = jax.vjp(lambda x, w: conv(x, w, stride), x, w)
        for a, e in zip((actual, *actual_vjp(cotangent)), (expected, *expected_vjp(cotangent)), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-3, atol=2e-3)
    assert memory[1] < memory[0]


@pytest.mark.slow
def test_vmap_over_images_and_kernels():
    x, w = normal(0, (3, 2, 6, 6, 2)), normal(1, (3, 3, 3, 2, 4))

    def loss(function, x, w):
        return jnp.sum(jnp.sin(function(x, w, 2, "SAME")))

    actual = jax.vmap(jax.grad(lambda x, w: loss(conv, x, w), (0, 1)))(x, w)
    expected = [jax.grad(lambda x, w: loss(reference, x, w), (0, 1))(*pair) for pair in zip(x, w, strict=True)]
    for a, e in zip(actual, zip(*expected, strict=True), strict=True):
        assert_close(a, jnp.stack(e))


def test_same_inside_a_loop_of_traced_length():
    x, w = normal(0, (4, 9, 9, 3)), 0.1 * normal(1, (3, 3, 3, 3))

    def descend(function, w):
        return w - 0.01 * jax.grad(lambda w: jnp.sum(jnp.square(function(function(x, w, 2, "SAME"), w, 1, "SAME"))))(w)

    actual = jax.jit(lambda n, w: lax.fori_loop(0, n, lambda _, w: descend(conv, w), w))(3, w)
    expected = w
    for _ in range(3):
        expected = descend(reference, expected)
    assert_close(actual, expected)


def test_bfloat16_stays_bfloat16_and_sums_in_float32():
    """A bfloat16 sum of 512 ones would stop at 256."""
    x, w = jnp.ones((1, 4, 4, 128), jnp.bfloat16), jnp.ones((2, 2, 128, 8), jnp.bfloat16)
    y, vjp = jax.vjp(lambda x, w: conv(x, w, 2, "VALID"), x, w)
    assert y.dtype == jnp.bfloat16 and np.all(np.asarray(y, np.float32) == 512)
    dx, dw = vjp(jnp.ones_like(y))
    assert dx.dtype == dw.dtype == jnp.bfloat16
    assert np.all(np.asarray(dx, np.float32) == 8) and np.all(np.asarray(dw, np.float32) == 4)


def test_exports_for_all_platforms():
    x, w = normal(0, (2, 8, 8, 3)), normal(1, (3, 3, 3, 4))
    gradient = jax.jit(jax.grad(lambda x, w: jnp.sum(jnp.square(conv(x, w, 2, "SAME"))), (0, 1)))
    exported = export.export(gradient, platforms=("cpu", "cuda", "tpu"))(x, w)
    for actual, expected in zip(exported.call(x, w), gradient(x, w), strict=True):
        assert_close(actual, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kernel", "factor"),
    [((5, 5), 2), ((3, 3), 2), ((1, 7), 3), ((3, 5), (1, 2)), ((3, 3), 1), ((4, 4), 2), ((2, 6), 3)],
)
def test_upsample_conv_is_repetition_then_convolution(kernel, factor):
    x, w = normal(0, (2, 5, 6, 3)), normal(1, (*kernel, 3, 4))
    rows, columns = (factor, factor) if isinstance(factor, int) else factor

    def definition(x, w):
        return reference(jnp.repeat(jnp.repeat(x, rows, 1), columns, 2), w, 1, "SAME")

    @jax.jit
    def both(x, w):
        expected, expected_vjp = jax.vjp(definition, x, w)
        actual, actual_vjp = jax.vjp(lambda x, w: upsample_conv(x, w, factor), x, w)
        cotangent = jnp.cos(jnp.arange(expected.size, dtype=jnp.float32)).reshape(expected.shape)
        return (actual, *actual_vjp(cotangent)), (expected, *expected_vjp(cotangent))

    for actual, expected in zip(*both(x, w), strict=True):
        assert_close(actual, expected)
