"""Shapes, ranges, modes and errors of the classifiers, encoders and decoders."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.models import autoencoder, cnn, mlp

TINY = autoencoder.Config(
    encoder_filters=(3, 4),
    encoder_kernel_sizes=(4, 3),
    encoder_strides=(2, 2),
    decoder_filters=(5, 3, 2),
    decoder_kernel_sizes=(3, 4, 3),
    decoder_strides=(2, 2, 1),
    z_dim=6,
    use_batch_norm=True,
    dropout_rate=0.5,
)
TINY_CNN = cnn.Config(filters=(4,), kernel_sizes=(3,), strides=(2,), dense_units=5)
IMAGES = np.random.default_rng(0).uniform(size=(8, 12, 20, 2)).astype(np.float32)  # neither square nor grey nor RGB


def variables(module, inputs):
    """Parameters and running statistics, all positive and negative but for variances; drawn by NumPy, for speed."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        values = rng.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))
        return (np.exp(values) if path[-1].key == "var" else values).astype(np.float32)

    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False), inputs)
    return jax.tree.map_with_path(draw, shapes)


@partial(jax.jit, static_argnums=(0, 3))
def _apply(module, variables, inputs, train, key):
    if not train:
        return module.apply(variables, inputs, False)
    return module.apply(variables, inputs, True, rngs={"dropout": key}, mutable=["batch_stats"])[0]


def apply(module, inputs, train=False, key=1):
    return _apply(module, variables(module, inputs), inputs, train, jax.random.key(key))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_any_image_shape_and_dtype_gives_float32_of_the_right_shape(dtype):
    mean, log_var = apply(autoencoder.GaussianEncoder(TINY, dtype), IMAGES)
    codes = apply(autoencoder.Encoder(TINY, dtype), IMAGES)
    decoded = apply(autoencoder.Decoder(TINY, IMAGES.shape[1:], dtype), codes)
    logits = [apply(m, IMAGES) for m in (cnn.CNN(TINY_CNN, 7, dtype), mlp.MLP(mlp.Config(), 7, dtype))]
    assert mean.shape == log_var.shape == codes.shape == (8, 6)
    assert decoded.shape == IMAGES.shape and (decoded > 0).all() and (decoded < 1).all()
    assert [x.shape for x in logits] == [(8, 7)] * 2
    assert {x.dtype for x in (mean, log_var, codes, decoded, *logits)} == {jnp.dtype(jnp.float32)}


def test_bfloat16_computes_coarser_but_not_otherwise():
    exact, coarse = (apply(autoencoder.Encoder(TINY, dtype), IMAGES) for dtype in (jnp.float32, jnp.bfloat16))
    error = float(jnp.abs(exact - coarse).max() / jnp.abs(exact).max())
    assert 1e-4 < error < 0.05


MODULES = {
    "cnn": cnn.CNN(TINY_CNN, 7),
    "encoder": autoencoder.Encoder(TINY),
}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_training_mode_draws_dropout_and_sees_the_batch_and_evaluation_does_neither(module):
    assert not np.allclose(apply(module, IMAGES, train=True, key=1), apply(module, IMAGES, train=True, key=2))
    brighter = np.concatenate([IMAGES[:3], 2 * IMAGES[3:]])  # the first three are in other company
    np.testing.assert_allclose(apply(module, IMAGES)[:3], apply(module, brighter)[:3], rtol=1e-4, atol=1e-5)
    assert not np.allclose(apply(module, IMAGES, train=True)[:3], apply(module, brighter, train=True)[:3], atol=1e-2)


def test_the_last_decoder_layer_is_neither_normalised_nor_dropped():
    decoder = autoencoder.Decoder(TINY, (12, 20, 2))
    assert set(variables(decoder, np.zeros((1, 6), np.float32))["batch_stats"]) == {"block_0", "block_1"}


def test_small_cnn_is_affine_in_its_image():
    module = cnn.CNN(cnn.SMALL, 10)
    a, b = IMAGES[:4], IMAGES[4:]
    middle = apply(module, 0.25 * a + 0.75 * b)
    ends = 0.25 * apply(module, a) + 0.75 * apply(module, b)
    np.testing.assert_allclose(middle, ends, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"encoder_strides": (2,)}, "--encoder_strides"),
        ({"encoder_kernel_sizes": (3, 3, 3)}, "--encoder_kernel_sizes"),
        ({"encoder_filters": ()}, "--encoder_filters"),
        ({"decoder_strides": (2, 2, 0)}, "--decoder_strides"),
        ({"decoder_strides": (2, 2, 2)}, "--decoder_strides=2,2,2: 12x20"),
        ({"decoder_filters": (5, 3, 3)}, "--decoder_filters=5,3,3"),
        ({"dropout_rate": 1.5}, "--dropout_rate=1.5"),
        ({"activation": "lekyrelu"}, "--activation=lekyrelu"),
    ],
)
def test_a_bad_flag_is_named(changes, flag):
    config = dataclasses.replace(TINY, **changes)
    with pytest.raises(UserError, match=flag):
        variables(autoencoder.Encoder(config), IMAGES)
        variables(autoencoder.Decoder(config, (12, 20, 2)), np.zeros((1, 6), np.float32))


@pytest.mark.parametrize("changes", [{"strides": (1, 2)}, {"kernel_sizes": (0,)}, {"dropout_rate": -0.1}])
def test_a_bad_flag_of_the_cnn_is_named(changes):
    with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
        variables(cnn.CNN(dataclasses.replace(TINY_CNN, **changes), 7), IMAGES)
