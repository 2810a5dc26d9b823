"""Layers against closed forms."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.nn.layers import (
    ACTIVATIONS,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    embedding_uniform,
    leaky_relu,
)


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def drop(x, rate, key=0, axis_name=None):
    return Dropout(rate, axis_name).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(key)})


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "fan_in", "fan_out"), [(Conv, 9 * 16, 9 * 64), (ConvTranspose, 9 * 16, 9 * 64)])
def test_convolutions_are_glorot_uniform_with_zero_bias(layer, fan_in, fan_out):
    params = layer(64, 3).init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))["params"]
    limit = np.sqrt(6 / (fan_in + fan_out))
    assert params["kernel"].shape == (3, 3, 16, 64)
    assert np.abs(params["kernel"]).max() == pytest.approx(limit, rel=0.01)
    assert np.std(params["kernel"]) == pytest.approx(limit / np.sqrt(3), rel=0.05)
    assert np.all(params["bias"] == 0)


def test_dense_is_glorot_uniform_with_zero_bias():
    params = Dense(200).init(jax.random.key(0), jnp.zeros((1, 100)))["params"]
    assert np.abs(params["kernel"]).max() == pytest.approx(np.sqrt(6 / 300), rel=0.01)
    assert np.all(params["bias"] == 0)


@pytest.mark.slow
def test_convolution_shapes_and_parameter_counts():
    x = jnp.zeros((2, 28, 28, 1))
    y, variables = Conv(32, 3, strides=2).init_with_output(jax.random.key(0), x)
    assert y.shape == (2, 14, 14, 32)
    assert sum(a.size for a in jax.tree.leaves(variables)) == 320
    z, variables = ConvTranspose(8, (4, 6), strides=(2, 1), use_bias=False).init_with_output(jax.random.key(0), y)
    assert z.shape == (2, 28, 14, 8)
    assert [a.shape for a in jax.tree.leaves(variables)] == [(4, 6, 32, 8)]
    assert Conv(3, 4, strides=2, padding="VALID").init_with_output(jax.random.key(0), x)[0].shape == (2, 13, 13, 3)


@pytest.mark.slow
def test_bfloat16_compute_keeps_float32_parameters():
    for layer in (
        Conv(4, 3, dtype=jnp.bfloat16),
        ConvTranspose(4, 3, dtype=jnp.bfloat16),
        Dense(4, dtype=jnp.bfloat16),
    ):
        y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 4, 4, 2)))
        assert y.dtype == jnp.bfloat16
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def test_leaky_relu_has_keras_slope():
    np.testing.assert_allclose(leaky_relu(jnp.array([-2.0, 0.0, 3.0])), [-0.6, 0.0, 3.0])
    np.testing.assert_allclose(jax.vmap(jax.grad(leaky_relu))(jnp.array([-2.0, 3.0])), [0.3, 1.0])


def test_activations_at_one_and_minus_one():
    e = np.e
    expected = {
        "relu": (0.0, 1.0),
        "leaky_relu": (-0.3, 1.0),
        "elu": (1 / e - 1, 1.0),
        "gelu": (-0.158808, 0.841192),  # 0.5 x (1 + tanh(sqrt(2 / pi) 1.044715 x)), the approximation
        "gelu_exact": (-0.158655, 0.841345),  # -Phi(-1) and Phi(1)
        "tanh": (-np.tanh(1), np.tanh(1)),
        "sigmoid": (1 / (1 + e), e / (1 + e)),
        "swish": (-1 / (1 + e), e / (1 + e)),
        "identity": (-1.0, 1.0),
    }
    assert set(ACTIVATIONS) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(ACTIVATIONS[name](jnp.array([-1.0, 1.0])), values, atol=1e-5, err_msg=name)


SCALE, BIAS = np.array([2.0, 0.5, 1.0], np.float32), np.array([0.0, 1.0, -3.0], np.float32)
RUNNING_MEAN, RUNNING_VAR = np.array([1.0, 2.0, 3.0], np.float32), np.array([4.0, 1.0, 0.25], np.float32)
VARIABLES = {
    "params": {"scale": SCALE, "bias": BIAS},
    "batch_stats": {"mean": RUNNING_MEAN, "var": RUNNING_VAR},
}


class TestBatchNorm:
    def closed_form(self, x, mean, var):
        return (x - mean) / np.sqrt(var + 1e-3) * SCALE + BIAS

    def test_training_normalises_by_the_batch_and_updates_running_averages(self):
        x = 3 * normal(0, (8, 5, 4, 3)) + 1
        y, updated = BatchNorm().apply(VARIABLES, x, use_running_average=False, mutable=["batch_stats"])
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        np.testing.assert_allclose(y, self.closed_form(x, mean, var), rtol=1e-4, atol=1e-4)
        stats = updated["batch_stats"]
        np.testing.assert_allclose(stats["mean"], 0.99 * RUNNING_MEAN + 0.01 * mean, rtol=1e-5)
        np.testing.assert_allclose(stats["var"], 0.99 * RUNNING_VAR + 0.01 * var, rtol=1e-5)

    def test_evaluation_uses_running_averages(self):
        x = normal(0, (8, 3))
        y = BatchNorm().apply(VARIABLES, x, use_running_average=True)
        np.testing.assert_allclose(y, self.closed_form(x, RUNNING_MEAN, RUNNING_VAR), rtol=1e-4, atol=1e-5)

    def test_gradient_is_that_of_two_pass_normalisation(self):
        x = normal(0, (6, 4, 4, 3))
        weights = normal(1, x.shape)

        def two_pass(x):
            return ((x - x.mean((0, 1, 2))) / jnp.sqrt(x.var((0, 1, 2)) + 1e-3)) * SCALE

        def ours(x):
            return BatchNorm().apply(VARIABLES, x, use_running_average=False, mutable=["batch_stats"])[0]

        actual = jax.grad(lambda x: jnp.sum(weights * ours(x)))(x)
        np.testing.assert_allclose(actual, jax.grad(lambda x: jnp.sum(weights * two_pass(x)))(x), rtol=1e-3, atol=1e-4)

    def test_split_batches_share_the_whole_batchs_statistics(self):
        x = normal(0, (8, 4, 4, 3))

        def apply(x, axis_name):
            module = BatchNorm(axis_name=axis_name)
            return module.apply(VARIABLES, x, use_running_average=False, mutable=["batch_stats"])

        whole, whole_stats = apply(x, None)
        split, split_stats = jax.vmap(lambda x: apply(x, "devices"), axis_name="devices")(x.reshape(4, 2, 4, 4, 3))
        np.testing.assert_allclose(split.reshape(x.shape), whole, rtol=1e-4, atol=1e-5)
        for a, b in zip(jax.tree.leaves(split_stats), jax.tree.leaves(whole_stats), strict=True):
            np.testing.assert_allclose(a, np.broadcast_to(b, a.shape), rtol=1e-5)

    def test_bfloat16_statistics_are_float32(self):
        x = jnp.asarray(100 + normal(0, (512, 3)), jnp.bfloat16)
        y, updated = BatchNorm().apply(VARIABLES, x, use_running_average=False, mutable=["batch_stats"])
        assert y.dtype == jnp.bfloat16
        expected = np.asarray(x, np.float64).mean(0)
        np.testing.assert_allclose((updated["batch_stats"]["mean"] - 0.99 * RUNNING_MEAN) / 0.01, expected, rtol=1e-3)

    def test_init_needs_no_axis(self):
        variables = BatchNorm(axis_name="devices").init(jax.random.key(0), jnp.ones((2, 3)), use_running_average=False)
        assert np.all(variables["batch_stats"]["mean"] == 0) and np.all(variables["batch_stats"]["var"] == 1)


class TestDropout:
    @pytest.mark.parametrize("rate", [0.25, 0.4, 0.5])
    def test_fraction_and_scale(self, rate):
        kept = 1 - rate
        y = np.asarray(drop(jnp.ones((64, 25, 33)), rate))
        np.testing.assert_allclose(np.unique(y), [0, 1 / kept], rtol=1e-6)
        sigma = np.sqrt(kept * (1 - kept) / y.size)
        assert abs((y > 0).mean() - kept) < 5 * sigma

    def test_elements_and_examples_are_independent(self):
        kept = np.asarray(drop(jnp.ones((400, 9)), 0.5)).reshape(400, -1) > 0
        correlation = np.corrcoef(np.concatenate([kept, np.roll(kept, 1, 0)], 1), rowvar=False)
        assert np.abs(correlation - np.eye(18)).max() < 5 / np.sqrt(400)

    def test_identity_and_extremes(self):
        x = normal(0, (4, 6))
        assert np.array_equal(drop(x, 0.0), x)
        assert np.array_equal(Dropout(0.5).apply({}, x, deterministic=True), x)
        assert np.all(drop(x, 1.0) == 0)

    def test_gradient_is_the_mask(self):
        x = jnp.asarray(normal(0, (4, 60)))
        gradient = jax.grad(lambda x: drop(x, 0.25).sum())(x)
        np.testing.assert_allclose(gradient * x, drop(x, 0.25), rtol=1e-6)

    def test_masks_do_not_depend_on_how_the_batch_is_split(self):
        x = normal(0, (8, 3, 5))
        split = jax.vmap(lambda x: drop(x, 0.5, axis_name="devices"), axis_name="devices")(x.reshape(4, 2, 3, 5))
        assert np.array_equal(split.reshape(x.shape), drop(x, 0.5))
        assert not np.array_equal(drop(x, 0.5, key=1), drop(x, 0.5))

    def test_two_layers_have_different_masks(self):
        class Twice(nn.Module):
            @nn.compact
            def __call__(self, x):
                return Dropout(0.5)(x, deterministic=False), Dropout(0.5)(x, deterministic=False)

        first, second = Twice().apply({}, jnp.ones((4, 32)), rngs={"dropout": jax.random.key(0)})
        assert not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [Dense(6, spectral_norm=True), Conv(6, 3, spectral_norm=True)])
def test_spectral_norm_makes_the_largest_singular_value_one(layer):
    x = normal(0, (2, 5, 5, 4))
    variables = layer.init(jax.random.key(0), x)
    params = jax.tree.map(lambda w: 3 * w, variables["params"])
    stats = variables["batch_stats"]
    for _ in range(30):  # each call in training refines the estimate
        _, changed = layer.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
        stats = changed["batch_stats"]
    kernel = np.asarray(params["kernel"])
    largest = np.linalg.svd(kernel.reshape(-1, 6), compute_uv=False)[0]
    plain = type(layer)(*([6] if isinstance(layer, Dense) else [6, 3]))
    expected = plain.apply({"params": params | {"kernel": kernel / largest}}, x)
    actual = layer.apply({"params": params, "batch_stats": stats}, x)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_spectral_norms_gradient_is_orthogonal_to_the_kernel():
    layer, x = Dense(6, spectral_norm=True), normal(0, (2, 4))
    variables = layer.init(jax.random.key(0), x)

    def loss(kernel):
        params = variables["params"] | {"kernel": kernel}
        return jnp.square(layer.apply({"params": params, "batch_stats": variables["batch_stats"]}, x)).sum()

    kernel = variables["params"]["kernel"]
    # f(c w) = f(w) for any c > 0, so the gradient is orthogonal to w
    assert abs(float((jax.grad(loss)(kernel) * kernel).sum())) < 1e-4


def test_embeddings_are_initialised_as_in_keras():
    vectors = np.asarray(embedding_uniform(jax.random.key(0), (500, 400)))
    shares = np.linspace(0, 1, 11)
    np.testing.assert_allclose(np.quantile(vectors, shares), 0.1 * shares - 0.05, atol=1e-3)
    assert vectors.dtype == np.float32
