import chex
import jax
import numpy as np
import pytest
from jax import lax

from gdl_jax.nn.conv import conv
from gdl_jax.nn.frozen_conv import frozen_conv


def test_matches_a_trained_convolution_and_its_gradient_inside_a_loop():
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 7, 5, 3)).astype(np.float32), rng.normal(size=(2, 7, 5, 4)).astype(np.float32)
    w = rng.normal(size=(3, 3, 3, 4)).astype(np.float32)

    def three_steps(convolution):
        gradient = jax.grad(lambda x: (convolution(x, w) * g).sum() + (convolution(x, w) ** 3).sum())
        return jax.jit(lambda x: lax.fori_loop(0, 3, lambda _, x: x - 1e-3 * gradient(x), x))(x)

    chex.assert_trees_all_close(frozen_conv(x, w), conv(x, w), rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(three_steps(frozen_conv), three_steps(conv), rtol=1e-4, atol=1e-4)


def test_kernels_get_no_gradient():
    x, w = np.ones((1, 4, 4, 2), np.float32), np.ones((3, 3, 2, 2), np.float32)
    assert np.all(np.asarray(jax.grad(lambda w: frozen_conv(x, w).sum())(w)) == 0)


@pytest.mark.parametrize("size", [(50, 51), (51, 50)])
def test_large_ones_by_minimal_filtering_are_the_same(size):
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=(2, *size, channels)).astype(np.float32) for channels in (64, 80))
    w = rng.normal(size=(3, 3, 64, 80)).astype(np.float32) / 24
    expected = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    chex.assert_trees_all_close(frozen_conv(x, w), expected, atol=2e-5)
    (gradient,) = jax.vjp(lambda x: frozen_conv(x, w), x)[1](g)
    (wanted,) = jax.vjp(lambda x: conv(x, w), x)[1](g)
    chex.assert_trees_all_close(gradient, wanted, atol=2e-5)
