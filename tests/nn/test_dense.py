"""Product of a dense layer against x @ w."""

import jax
import numpy as np
import pytest

from gdl_jax.nn.dense import dense

RNG = np.random.default_rng(0)
X, W = RNG.normal(size=(5, 7)).astype(np.float32), RNG.normal(size=(7, 3)).astype(np.float32)


def penalty(product):
    """Returns a gradient penalty, the norm of a gradient, whose own gradient is of second order."""

    def of_gradient(x, w):
        gradient = jax.grad(lambda x: (product(x, w) ** 3).sum())(x)
        return (gradient**2).sum() ** 0.5

    return of_gradient


@pytest.mark.parametrize("of", [lambda product: lambda x, w: (product(x, w) ** 3).sum(), penalty])
def test_first_and_second_order_gradients_match_a_plain_product(of):
    expected = jax.jit(jax.value_and_grad(of(lambda x, w: x @ w), (0, 1)))(X, W)
    actual = jax.jit(jax.value_and_grad(of(dense), (0, 1)))(X, W)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.slow
def test_vmap_over_kernels():
    many = np.stack([W, 2 * W])
    gradients = jax.vmap(jax.grad(lambda w: (dense(X, w) ** 2).sum()))(many)
    np.testing.assert_allclose(gradients[1], 2 * gradients[0], rtol=1e-5)
