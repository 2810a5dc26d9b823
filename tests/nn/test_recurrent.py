"""The LSTM against one written out gate by gate, in float64, one example and one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.nn.recurrent import LSTM, RECURRENT_ACTIVATIONS

B, T, F, H = 3, 7, 5, 4


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


PARAMS = {"kernel": normal(0, (F, 4 * H)), "recurrent_kernel": normal(1, (H, 4 * H)), "bias": normal(2, (4 * H,))}
XS, CARRY = normal(3, (B, T, F)), (normal(4, (B, H)), normal(5, (B, H)))
MASK = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0, 1]], bool)
GATES = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": lambda x: 0.0 if x < -2.5 else 1.0 if x > 2.5 else 0.2 * x + 0.5,
}


def written_out(params, xs, carry, gate, mask):
    """Keras's LSTM: hs (B, T, H), h, c."""
    hs, hidden, cell = np.zeros((B, T, H)), carry[0].astype(float), carry[1].astype(float)
    for b in range(B):
        for t in range(T):
            h, c = hidden[b].copy(), cell[b].copy()
            for unit in range(H):
                i, f, g, o = (
                    sum(xs[b, t, k] * params["kernel"][k, place * H + unit] for k in range(F))
                    + sum(h[k] * params["recurrent_kernel"][k, place * H + unit] for k in range(H))
                    + params["bias"][place * H + unit]
                    for place in range(4)
                )
                if mask[b, t]:
                    cell[b, unit] = gate(f) * c[unit] + gate(i) * np.tanh(g)
                    hidden[b, unit] = gate(o) * np.tanh(cell[b, unit])
            hs[b, t] = hidden[b]
    return hs, hidden, cell


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", GATES)
def test_sequence_is_the_one_written_out(name, masked):
    layer = LSTM(H, RECURRENT_ACTIVATIONS[name])
    mask = MASK if masked else np.ones_like(MASK)
    expected = written_out(PARAMS, XS, CARRY, np.vectorize(GATES[name]), mask)
    hs, (h, c) = jax.jit(layer.apply)({"params": PARAMS}, XS, CARRY, mask if masked else None)
    for actual, e in zip((hs, h, c), expected, strict=True):
        np.testing.assert_allclose(actual, e, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(hs[:, -1], h)


def test_steps_make_the_sequence_and_a_mask_of_numbers_is_one_of_truths():
    layer, variables = LSTM(H), {"params": PARAMS}
    hs, end = layer.apply(variables, XS, CARRY)
    carry = CARRY
    for t in range(T):
        h, carry = layer.apply(variables, XS[:, t], carry, method="step")
        np.testing.assert_allclose(h, hs[:, t], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(carry, end, rtol=1e-5, atol=1e-6)
    masked, _ = layer.apply(variables, XS, CARRY, MASK)
    as_numbers, _ = layer.apply(variables, XS, CARRY, MASK.astype(np.float32))
    np.testing.assert_array_equal(masked, as_numbers)
    for b in range(B):  # a masked single step leaves the carry as it was
        _, carry = layer.apply(variables, XS[:, :1], CARRY, MASK[:, 3:4])
        changed = not np.array_equal(carry[0][b], CARRY[0][b]), not np.array_equal(carry[1][b], CARRY[1][b])
        assert changed == (MASK[b, 3], MASK[b, 3])


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_differences_of_the_one_written_out(masked):
    mask = MASK if masked else np.ones_like(MASK)
    weights = normal(6, (B, T, H))

    def loss(params, xs, h, c):
        return jnp.sum(weights * LSTM(H).apply({"params": params}, xs, (h, c), mask)[0])

    def reference(params, xs, h, c):
        return np.sum(weights * written_out(params, xs, (h, c), GATES["sigmoid"], mask)[0])

    arguments = (PARAMS, XS, *CARRY)
    gradients = jax.jit(jax.grad(loss, (0, 1, 2, 3)))(*arguments)
    flat, tree = jax.tree.flatten(jax.tree.map(lambda x: x.astype(float), arguments))
    rng = np.random.default_rng(7)
    for number, gradient in enumerate(jax.tree.leaves(gradients)):
        direction = rng.normal(size=gradient.shape)
        ends = [
            reference(*jax.tree.unflatten(tree, [x + s * direction if i == number else x for i, x in enumerate(flat)]))
            for s in (1e-5, -1e-5)
        ]
        slope = (ends[0] - ends[1]) / 2e-5
        assert float(np.sum(np.asarray(gradient, float) * direction)) == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_parameters_start_as_in_keras():
    layer = LSTM(256)
    init = jax.jit(lambda key: layer.init(key, jnp.zeros((1, 1, 36)), layer.zero_carry(1))["params"])
    variables = init(jax.random.key(0, impl="unsafe_rbg"))
    assert sum(leaf.size for leaf in variables.values()) == 300_032
    kernel, recurrent, bias = (np.asarray(variables[name]) for name in ("kernel", "recurrent_kernel", "bias"))
    np.testing.assert_array_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], 256))
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(256), atol=1e-5)
    limit = np.sqrt(6 / (36 + 1024))
    assert 0.99 * limit < np.abs(kernel).max() <= limit and kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_bfloat16_computes_coarser_and_keeps_a_float32_carry():
    exact, _ = LSTM(H).apply({"params": PARAMS}, XS, CARRY)
    coarse, carry = LSTM(H, dtype=jnp.bfloat16).apply({"params": PARAMS}, XS, CARRY)
    assert {leaf.dtype for leaf in (coarse, *carry)} == {jnp.dtype(jnp.float32)}
    assert 1e-4 < float(jnp.abs(exact - coarse).max()) < 0.1


def test_many_single_steps_share_their_products():
    """A vmapped step with shared parameters is a matrix product, not a batch of small ones."""
    layer = LSTM(H)

    def one(x, h, c):
        return layer.apply({"params": PARAMS}, x[None], (h[None], c[None]), method="step")[0][0]

    text = jax.jit(jax.vmap(one)).lower(XS[:, 0], *CARRY).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 2 and not any("batching_dims" in line for line in products)
    np.testing.assert_allclose(
        jax.vmap(one)(XS[:, 0], *CARRY), layer.apply({"params": PARAMS}, XS, CARRY)[0][:, 0], rtol=1e-5, atol=1e-6
    )
