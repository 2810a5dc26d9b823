"""LSTM and GRU against NumPy restatements, gate by gate, in float64, one example and one step at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.nn.recurrent import GRU, LSTM, RECURRENT_ACTIVATIONS, bidirectional

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


def reference_lstm(params, xs, carry, gate, mask):
    """Returns hs (B, T, H), h and c of Keras's LSTM."""
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
def test_lstm_matches_a_numpy_restatement(name, masked):
    layer = LSTM(H, RECURRENT_ACTIVATIONS[name])
    mask = MASK if masked else np.ones_like(MASK)
    expected = reference_lstm(PARAMS, XS, CARRY, np.vectorize(GATES[name]), mask)
    hs, (h, c) = jax.jit(layer.apply)({"params": PARAMS}, XS, CARRY, mask if masked else None)
    for actual, e in zip((hs, h, c), expected, strict=True):
        np.testing.assert_allclose(actual, e, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(hs[:, -1], h)


@pytest.mark.slow
def test_lstm_steps_match_the_sequence_and_masks_may_be_numbers():
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
    for b in range(B):  # a masked step doesn't change the carry
        _, carry = layer.apply(variables, XS[:, :1], CARRY, MASK[:, 3:4])
        changed = not np.array_equal(carry[0][b], CARRY[0][b]), not np.array_equal(carry[1][b], CARRY[1][b])
        assert changed == (MASK[b, 3], MASK[b, 3])


@pytest.mark.parametrize(("masked", "gate"), [(False, "sigmoid"), (True, "sigmoid"), (True, "hard_sigmoid")])
def test_lstm_gradients_match_finite_differences(masked, gate):
    mask = MASK if masked else np.ones_like(MASK)
    weights = normal(6, (B, T, H))

    def loss(params, xs, h, c):
        layer = LSTM(H, RECURRENT_ACTIVATIONS[gate])
        return jnp.sum(weights * layer.apply({"params": params}, xs, (h, c), mask)[0])

    def reference(params, xs, h, c):
        return np.sum(weights * reference_lstm(params, xs, (h, c), GATES[gate], mask)[0])

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


def test_lstm_is_initialised_as_in_keras():
    layer = LSTM(256)
    init = jax.jit(lambda key: layer.init(key, jnp.zeros((1, 1, 36)), layer.zero_carry(1))["params"])
    variables = init(jax.random.key(0, impl="unsafe_rbg"))
    assert sum(leaf.size for leaf in variables.values()) == 300_032
    kernel, recurrent, bias = (np.asarray(variables[name]) for name in ("kernel", "recurrent_kernel", "bias"))
    np.testing.assert_array_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], 256))
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(256), atol=1e-5)
    limit = np.sqrt(6 / (36 + 1024))
    assert 0.99 * limit < np.abs(kernel).max() <= limit and kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)


def test_bfloat16_lstm_is_close_with_a_float32_carry():
    exact, _ = LSTM(H).apply({"params": PARAMS}, XS, CARRY)
    coarse, carry = LSTM(H, dtype=jnp.bfloat16).apply({"params": PARAMS}, XS, CARRY)
    assert {leaf.dtype for leaf in (coarse, *carry)} == {jnp.dtype(jnp.float32)}
    assert 1e-4 < float(jnp.abs(exact - coarse).max()) < 0.1


def test_vmapped_steps_match_the_sequences():
    layer = LSTM(H)

    def one(x, h, c):
        return layer.apply({"params": PARAMS}, x[None], (h[None], c[None]), method="step")[0][0]

    np.testing.assert_allclose(
        jax.vmap(one)(XS[:, 0], *CARRY), layer.apply({"params": PARAMS}, XS, CARRY)[0][:, 0], rtol=1e-5, atol=1e-6
    )


RESETS = {"reset after": True, "reset before": False}


def gru_params(reset_after, seed=10):
    """Returns parameters with large biases, so that a misplaced bias makes a difference."""
    params = {"kernel": normal(seed, (F, 3 * H)), "recurrent_kernel": normal(seed + 1, (H, 3 * H))}
    params["bias"] = normal(seed + 2, (3 * H,))
    return params | ({"recurrent_bias": normal(seed + 3, (3 * H,))} if reset_after else {})


def reference_gru(params, xs, carry, gate, mask, reset_after):
    """Returns hs (B, T, H) and h of Keras's GRU."""
    recurrent_bias = params.get("recurrent_bias", np.zeros(3 * H))
    hs, hidden = np.zeros((B, T, H)), carry.astype(float)
    for b in range(B):
        for t in range(T):
            h = hidden[b].copy()

            def column(gate, unit, state, b=b, t=t):
                """Returns a gate's terms from the inputs and from a hidden state."""
                at = gate * H + unit
                inputs = sum(xs[b, t, k] * params["kernel"][k, at] for k in range(F)) + params["bias"][at]
                return inputs, sum(state[k] * params["recurrent_kernel"][k, at] for k in range(H)) + recurrent_bias[at]

            z, r = (np.array([gate(sum(column(number, unit, h))) for unit in range(H)]) for number in (0, 1))
            for unit in range(H):
                if reset_after:
                    inputs, product = column(2, unit, h)
                    candidate = np.tanh(inputs + r[unit] * product)
                else:
                    candidate = np.tanh(sum(column(2, unit, r * h)))
                if mask[b, t]:
                    hidden[b, unit] = z[unit] * h[unit] + (1 - z[unit]) * candidate
            hs[b, t] = hidden[b]
    return hs, hidden


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("name", GATES)
def test_gru_matches_a_numpy_restatement(name, reset, masked):
    params, mask = gru_params(RESETS[reset]), MASK if masked else np.ones_like(MASK)
    layer = GRU(H, RECURRENT_ACTIVATIONS[name], RESETS[reset])
    expected = reference_gru(params, XS, CARRY[0], np.vectorize(GATES[name]), mask, RESETS[reset])
    hs, h = jax.jit(layer.apply)({"params": params}, XS, CARRY[0], mask if masked else None)
    np.testing.assert_allclose(hs, expected[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(h, expected[1], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("reset", RESETS)
def test_gru_steps_match_the_sequence(reset):
    layer, variables = GRU(H, reset_after=RESETS[reset]), {"params": gru_params(RESETS[reset])}
    hs, end = layer.apply(variables, XS, CARRY[0])
    carry = CARRY[0]
    for t in range(T):
        h, carry = layer.apply(variables, XS[:, t], carry, method="step")
        np.testing.assert_allclose(h, hs[:, t], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(carry, end, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("reset", RESETS)
def test_gru_gradients_match_finite_differences(reset, gate):
    params, weights, reset_after = gru_params(RESETS[reset]), normal(20, (B, T, H)), RESETS[reset]

    def loss(params, xs, h):
        layer = GRU(H, RECURRENT_ACTIVATIONS[gate], reset_after=reset_after)
        return jnp.sum(weights * layer.apply({"params": params}, xs, h, MASK)[0])

    def reference(params, xs, h):
        return np.sum(weights * reference_gru(params, xs, h, GATES[gate], MASK, reset_after)[0])

    gradients = jax.jit(jax.grad(loss, (0, 1, 2)))(params, XS, CARRY[0])
    arguments = jax.tree.map(lambda x: x.astype(float), (params, XS, CARRY[0]))
    rng = np.random.default_rng(21)
    directions = jax.tree.map(lambda x: rng.normal(size=x.shape), arguments)
    ends = [reference(*jax.tree.map(lambda x, d, s=s: x + s * d, arguments, directions)) for s in (1e-5, -1e-5)]
    slopes = jax.tree.map(lambda g, d: np.sum(np.asarray(g, float) * d), gradients, directions)
    assert sum(jax.tree.leaves(slopes)) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("reset", "count"), [("reset after", 121_200), ("reset before", 120_600)])
def test_gru_is_initialised_as_in_keras(reset, count):
    """Counts are those of the book's bidirectional layer, with 100 units per direction and 100 inputs."""
    layer = GRU(100, reset_after=RESETS[reset])
    init = jax.jit(lambda key: layer.init(key, jnp.zeros((1, 1, 100)), layer.zero_carry(1))["params"])
    params = {name: np.asarray(leaf) for name, leaf in init(jax.random.key(0, impl="unsafe_rbg")).items()}
    assert 2 * sum(leaf.size for leaf in params.values()) == count
    assert all((leaf == 0).all() for name, leaf in params.items() if "bias" in name)
    np.testing.assert_allclose(params["recurrent_kernel"] @ params["recurrent_kernel"].T, np.eye(100), atol=1e-5)
    limit = np.sqrt(6 / 400)
    assert 0.99 * limit < np.abs(params["kernel"]).max() <= limit


@pytest.mark.slow
@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_reverse_matches_a_reversed_sequence(cell):
    params, carry = (PARAMS, CARRY) if cell is LSTM else (gru_params(True), CARRY[0])
    weights = normal(20, (B, T, H))

    def loss(params, xs, carry, step):
        xs, mask = xs[:, ::step], MASK[:, ::step]
        hs, last = cell(H).apply({"params": params}, xs, carry, mask, reverse=step == -1)
        return jnp.sum(weights[:, ::step] * hs**2) + sum(jnp.sum(x**2) for x in jax.tree.leaves(last))

    differentiated = jax.jit(jax.value_and_grad(loss, (0, 1, 2)), static_argnums=3)
    (value, gradients), (reversed_value, reversed_gradients) = (
        differentiated(params, XS, carry, step) for step in (1, -1)
    )
    assert float(value) == pytest.approx(float(loss(params, XS, carry, 1)), rel=1e-5)
    assert float(reversed_value) == pytest.approx(float(value), rel=1e-5)
    for one, other in zip(*map(jax.tree.leaves, (gradients, reversed_gradients)), strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_bfloat16_gru_is_close_with_a_float32_carry():
    params = gru_params(True)
    exact, _ = GRU(H).apply({"params": params}, XS, CARRY[0])
    coarse, carry = GRU(H, dtype=jnp.bfloat16).apply({"params": params}, XS, CARRY[0])
    assert coarse.dtype == carry.dtype == jnp.float32
    assert 1e-4 < float(jnp.abs(exact - coarse).max()) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", *RESETS])
def test_bfloat16_gradients_are_close(kind):
    params, carry = (PARAMS, CARRY) if kind == "lstm" else (gru_params(RESETS[kind]), CARRY[0])
    params = jax.tree.map(lambda leaf: 0.3 * leaf, params)

    def loss(params, dtype):
        layer = LSTM(H, dtype=dtype) if kind == "lstm" else GRU(H, reset_after=RESETS[kind], dtype=dtype)
        return jnp.sum(layer.apply({"params": params}, XS, carry, MASK)[0] ** 2)

    exact, coarse = (jax.grad(loss)(params, dtype) for dtype in (jnp.float32, jnp.bfloat16))
    for one, other in zip(*map(jax.tree.leaves, (exact, coarse)), strict=True):
        assert other.dtype == jnp.float32
        assert 0 < jnp.linalg.norm(one - other) < 0.05 * jnp.linalg.norm(one)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_bidirectional_ignores_padding(cell):
    """A row gives the same alone, with padding after it, and with padding before it."""
    lengths, params = (7, 4, 2), [PARAMS, {**PARAMS, "bias": -PARAMS["bias"]}]
    if cell is GRU:
        params = [gru_params(True), gru_params(True, seed=30)]
    forward, backward = (cell(H).bind({"params": p}) for p in params)
    for pad in (np.s_[::1], np.s_[::-1]):
        mask = (np.arange(T) < np.array(lengths)[:, None])[:, pad]
        hs, carries = bidirectional(forward, backward, XS, mask)
        assert hs.shape == (B, T, 2 * H)
        for b in range(B):
            row = XS[b : b + 1, mask[b]]
            alone, end = forward(row, forward.zero_carry(1))
            flipped, start = backward(row[:, ::-1], backward.zero_carry(1))
            expected = np.concatenate([alone, flipped[:, ::-1]], axis=-1)[0]
            np.testing.assert_allclose(hs[b, mask[b]], expected, rtol=1e-5, atol=1e-6)
            for actual, e in zip(jax.tree.leaves(carries), jax.tree.leaves((end, start)), strict=True):
                np.testing.assert_allclose(actual[b], e[0], rtol=1e-5, atol=1e-6)
