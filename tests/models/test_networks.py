"""Shapes, ranges, modes and errors of classifiers, encoders and decoders; inputs that all networks refuse."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.models import autoencoder, cnn, controller, dcgan, mdn_rnn, mlp, musegan, text_rnn, world_vae
from gdl_jax.nn.layers import with_axis_name

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
    """Returns random parameters and running statistics of both signs, variances positive; by NumPy, for speed."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        values = rng.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))
        return (np.exp(values) if path[-1].key == "var" else values).astype(np.float32)

    shapes = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), inputs)
    return jax.tree.map_with_path(draw, shapes)


@partial(jax.jit, static_argnums=(0, 3))
def _apply(module, variables, inputs, train, key):
    if not train:
        return module.apply(variables, inputs, train=False)
    return module.apply(variables, inputs, train=True, rngs={"dropout": key}, mutable=["batch_stats"])[0]


def apply(module, inputs, train=False, key=1):
    return _apply(module, variables(module, inputs), inputs, train, jax.random.key(key))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_outputs_are_float32_of_the_right_shape(dtype):
    mean, log_var = apply(autoencoder.GaussianEncoder(TINY, dtype), IMAGES)
    codes = apply(autoencoder.Encoder(TINY, dtype), IMAGES)
    decoded = apply(autoencoder.Decoder(TINY, IMAGES.shape[1:], dtype), codes)
    logits = [apply(m, IMAGES) for m in (cnn.CNN(TINY_CNN, 7, dtype), mlp.MLP(mlp.Config(), 7, dtype))]
    assert mean.shape == log_var.shape == codes.shape == (8, 6)
    assert decoded.shape == IMAGES.shape and (decoded > 0).all() and (decoded < 1).all()
    assert [x.shape for x in logits] == [(8, 7)] * 2
    assert {x.dtype for x in (mean, log_var, codes, decoded, *logits)} == {jnp.dtype(jnp.float32)}


def test_bfloat16_is_close_to_float32():
    exact, coarse = (apply(autoencoder.Encoder(TINY, dtype), IMAGES) for dtype in (jnp.float32, jnp.bfloat16))
    error = float(jnp.abs(exact - coarse).max() / jnp.abs(exact).max())
    assert 1e-4 < error < 0.05


MODULES = {
    "cnn": cnn.CNN(TINY_CNN, 7),
    "encoder": autoencoder.Encoder(TINY),
}


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_training_mode_uses_dropout_and_batch_statistics(module):
    assert not np.allclose(apply(module, IMAGES, train=True, key=1), apply(module, IMAGES, train=True, key=2))
    brighter = np.concatenate([IMAGES[:3], 2 * IMAGES[3:]])  # the rest of the batch differs
    np.testing.assert_allclose(apply(module, IMAGES)[:3], apply(module, brighter)[:3], rtol=1e-4, atol=1e-5)
    assert not np.allclose(apply(module, IMAGES, train=True)[:3], apply(module, brighter, train=True)[:3], atol=1e-2)


def test_last_decoder_layer_has_no_normalisation():
    decoder = autoencoder.Decoder(TINY, (12, 20, 2))
    assert set(variables(decoder, np.zeros((1, 6), np.float32))["batch_stats"]) == {"block_0", "block_1"}


def test_small_cnn_is_affine_in_its_image():
    module = cnn.CNN(cnn.SMALL, 10)
    a, b = IMAGES[:4], IMAGES[4:]
    middle = apply(module, 0.25 * a + 0.75 * b)
    ends = 0.25 * apply(module, a) + 0.75 * apply(module, b)
    np.testing.assert_allclose(middle, ends, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder_strides": (2,)},
        {"encoder_kernel_sizes": (3, 3, 3)},
        {"encoder_filters": ()},
        {"decoder_strides": (2, 2, 0)},
        {"decoder_strides": (2, 2, 2)},
        {"decoder_filters": (5, 3, 3)},
        {"dropout_rate": 1.5},
    ],
    ids=str,
)
def test_bad_hyperparameters_of_autoencoders_are_refused(changes):
    config = dataclasses.replace(TINY, **changes)
    with pytest.raises(ConfigError) as error:
        variables(autoencoder.Encoder(config), IMAGES)
        variables(autoencoder.Decoder(config, (12, 20, 2)), np.zeros((1, 6), np.float32))
    assert {error.value.field: error.value.value} == changes


def test_unknown_activations_are_refused():
    with pytest.raises(UserError, match="activation=lekyrelu"):
        variables(autoencoder.Encoder(dataclasses.replace(TINY, activation="lekyrelu")), IMAGES)


@pytest.mark.parametrize("changes", [{"strides": (1, 2)}, {"kernel_sizes": (0,)}, {"dropout_rate": -0.1}], ids=str)
def test_bad_hyperparameters_of_the_cnn_are_refused(changes):
    with pytest.raises(ConfigError) as error:
        variables(cnn.CNN(dataclasses.replace(TINY_CNN, **changes), 7), IMAGES)
    assert {error.value.field: error.value.value} == changes


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (autoencoder.Config(), {"decoder_strides": (1, 2, 0, 1)}),
        (dcgan.Config(), {"critic_dropout_rate": 1.0}),
        (musegan.Config(), {"condition_bars": -1}),
        (text_rnn.Config(), {"cell": "elman"}),
        (world_vae.Config(), {"z_dim": 0}),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else "",
)
def test_bounds_of_config_fields_are_checked(config, changes):
    config_flags.check(config)
    with pytest.raises(ConfigError) as error:
        config_flags.check(dataclasses.replace(config, **changes))
    assert {error.value.field: error.value.value} == changes


NOISE = musegan.Noise(*(np.zeros(shape, np.float32) for shape in [(2, 32), (2, 32), (2, 3, 32), (2, 3, 32)]))


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (cnn.CNN(TINY_CNN, 7), [IMAGES[0]]),
        (autoencoder.Encoder(TINY), [IMAGES[0]]),
        (autoencoder.Decoder(TINY, (12, 20, 2)), [np.zeros((2, 5), np.float32)]),
        (dcgan.Generator(dcgan.Config(), (28, 28, 1)), [np.zeros((2, 99), np.float32)]),
        (dcgan.Generator(dcgan.Config(), (28, 28, 1), 10), [np.zeros((2, 100), np.float32), np.zeros(3, np.int32)]),
        (dcgan.Critic(dcgan.Config()), [np.zeros((28, 28, 1), np.float32)]),
        (musegan.Generator(musegan.Config(), musegan.Shape(2, 16, 84, 4)), [NOISE]),
        (musegan.Critic(musegan.Config()), [np.zeros((16, 84, 4), np.float32)]),
        (text_rnn.TextRNN(text_rnn.Config(), 9), [np.zeros((2, 5), np.float32)]),
        (world_vae.WorldDecoder(world_vae.Config()), [np.zeros((2, 31), np.float32)]),
        (controller.Controller(controller.Config()), [np.zeros(32, np.float32), np.zeros(256, np.float32)]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_wrong_shapes_and_types_are_refused(module, inputs):
    with pytest.raises(AssertionError):
        jax.eval_shape(lambda *x: module.init(jax.random.key(0), *x, train=False), *inputs)


def test_conditional_gan_networks_depend_on_the_class():
    config = dcgan.Config(first_filters=2, generator_filters=(2, 2, 2, 1), critic_filters=(2, 2, 2, 2), z_dim=4)
    generator, critic = dcgan.Generator(config, (28, 28, 1), classes=3), dcgan.Critic(config, classes=3)
    z, images = jax.random.normal(jax.random.key(0), (1, 4)), jax.random.normal(jax.random.key(1), (1, 28, 28, 1))
    for module, x in ((generator, z), (critic, images)):
        params = module.init(jax.random.key(2), x, jnp.array([0]), train=False)
        of_class = [module.apply(params, x, jnp.array([label]), train=False) for label in range(3)]
        assert not np.allclose(of_class[0], of_class[1]) and not np.allclose(of_class[1], of_class[2])


def test_axis_name_is_set_on_modules_that_have_one():
    critic = dcgan.Critic(dcgan.Config())
    assert with_axis_name(critic, "devices") == critic.clone(axis_name="devices")
    for module in (musegan.Critic(musegan.Config()), mdn_rnn.MDNRNN(mdn_rnn.Config())):
        assert with_axis_name(module, "devices") is module
