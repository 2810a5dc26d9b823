"""Tests of counted multiplications against closed forms."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gdl_jax.core.flops import Cost, count_multiplications
from gdl_jax.nn.conv import conv

X, W = jax.ShapeDtypeStruct((6, 5), jnp.float32), jax.ShapeDtypeStruct((5, 5), jnp.float32)
PRODUCT = 6 * 5 * 5


def cost(function, *arguments):
    return count_multiplications(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_counts_every_iteration_of_loops():
    def twice_seven(x, w):
        def body(x, _):
            return lax.fori_loop(0, 2, lambda i, x: x @ w, x), None

        return lax.scan(jax.jit(body), x, None, length=7)[0]

    assert cost(twice_seven, X, W) == Cost(14 * PRODUCT)


def test_ignores_operations_that_no_output_depends_on():
    def gradient(w, x):
        return jax.vjp(lambda w: jnp.tanh(x @ w), w)[1](x)  # no gradient with respect to x

    assert cost(lambda x, w: (x @ w, x)[1], X, W) == Cost(0)
    assert cost(gradient, W, X) == Cost(2 * PRODUCT)


def test_value_dependent_control_flow_gives_a_lower_bound():
    def until_large(x, w):
        return lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ w, x)

    def one_or_two(x, w):
        return lax.cond(x.sum() < 9, lambda: x @ w, lambda: x @ w @ w)

    for function in (until_large, one_or_two):
        assert cost(function, X, W) == Cost(PRODUCT, exact=False)
    assert cost(lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: 2 * x, x), X) == Cost(0)


@pytest.mark.parametrize("stride", [1, 2])
def test_all_forms_of_a_convolution_cost_the_same(stride):
    x, w = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32), jax.ShapeDtypeStruct((3, 3, 3, 4), jnp.float32)
    expected = Cost(2 * (8 // stride) ** 2 * 9 * 3 * 4)

    def plain(x, w):
        return lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def input_gradient(g, w):
        return jax.linear_transpose(lambda x: plain(x, w), x)(g)[0]

    assert cost(lambda x, w: conv(x, w, stride), x, w) == expected
    assert cost(plain, x, w) == expected
    g = jax.eval_shape(plain, x, w)
    assert cost(input_gradient, g, w) == expected
