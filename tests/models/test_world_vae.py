"""World models' autoencoder: parameter counts, comparison with lax, chunks of frames, errors."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gdl_jax.core.errors import ConfigError
from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.learners.variational import vae
from gdl_jax.losses.reconstruction import mse
from gdl_jax.models.world_vae import CHUNK, PAPER, Config, WorldDecoder, WorldEncoder, encode_frames

FRAMES = np.random.default_rng(0).integers(256, size=(CHUNK + 3, 64, 64, 3), dtype=np.uint8)
SMALL = Config(encoder_filters=(4, 6, 6, 8), decoder_units=16, decoder_filters=(8, 6, 4, 3), z_dim=5)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def parameters(module, inputs):
    """Returns random parameters of unit scale, biases included; drawn by NumPy, for speed."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), inputs, train=False))["params"]

    def draw(leaf):
        return (rng.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))).astype(np.float32)

    return jax.tree.map(draw, shapes)


@pytest.mark.parametrize(
    ("config", "encoder", "decoder", "total"),
    [(Config(), 264_032, 1_851_939, 2_115_971), (PAPER, 755_744, 3_592_803, 4_348_547)],
    ids=["book", "paper"],
)
def test_parameter_counts_are_the_books_and_the_papers(config, encoder, decoder, total):
    frames, codes = jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 32))
    counts = [
        size(jax.eval_shape(lambda module=module, x=x: module.init(jax.random.key(0), x, train=False)))
        for module, x in ((WorldEncoder(config), frames), (WorldDecoder(config), codes))
    ]
    assert counts == [encoder, decoder] and sum(counts) == total


def lax_encoder(params, frames):
    x = frames.astype(np.float32) / 255
    for i in range(4):
        layer = params[f"conv_{i}"]
        x = lax.conv_general_dilated(x, layer["kernel"], (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jnp.maximum(x + layer["bias"], 0)
    x = x.reshape(len(x), -1)
    return [x @ params[name]["kernel"] + params[name]["bias"] for name in ("mean", "log_var")]


@pytest.mark.slow
def test_encoder_matches_lax_whole_and_in_chunks():
    encoder = WorldEncoder(Config())
    params = parameters(encoder, jnp.zeros((1, 64, 64, 3)))
    expected = jax.jit(lax_encoder)(params, FRAMES)
    assert min(float(jnp.std(e)) for e in expected) > 0.1
    whole = jax.jit(lambda p, x: encoder.apply({"params": p}, x, train=False))(params, FRAMES / np.float32(255))
    encode = jax.jit(lambda p, x: encode_frames(encoder, p, x))
    for actual in (whole, encode(params, FRAMES), encode(params, FRAMES / np.float32(255))):
        chex.assert_trees_all_close(list(actual), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, CHUNK, 2 * CHUNK])
def test_any_number_of_frames_can_be_encoded(count):
    encoder = WorldEncoder(SMALL)
    params = parameters(encoder, jnp.zeros((1, 64, 64, 3)))
    frames = np.concatenate([FRAMES, FRAMES])[:count]
    actual = jax.jit(lambda x: encode_frames(encoder, params, x))(frames)
    chex.assert_trees_all_close(list(actual), lax_encoder(params, frames), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gradients_match_lax():
    encoder = WorldEncoder(SMALL)
    params = parameters(encoder, jnp.zeros((1, 64, 64, 3)))
    frames = FRAMES[:3]

    def loss(function, params):
        mean, log_var = function(params)
        return jnp.sum(jnp.sin(mean)) + jnp.sum(jnp.cos(log_var))

    actual = jax.jit(jax.grad(lambda p: loss(lambda p: encode_frames(encoder, p, frames), p)))(params)
    expected = jax.jit(jax.grad(lambda p: loss(lambda p: lax_encoder(p, frames), p)))(params)
    chex.assert_trees_all_close(actual, expected, rtol=1e-3, atol=1e-4)


def conv_transpose(x, kernel, stride):
    """Returns the transposed convolution: every pixel adds its multiple of the kernel at stride times its position."""
    height, width = (stride * (n - 1) + k for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    out = np.zeros((len(x), height, width, kernel.shape[3]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            rows, columns = slice(stride * i, stride * i + len(kernel)), slice(stride * j, stride * j + len(kernel))
            out[:, rows, columns] += np.einsum("bc,klcf->bklf", x[:, i, j], kernel)
    return out


def test_decoder_matches_numpy_transposed_convolutions():
    decoder = WorldDecoder(SMALL)
    codes = np.random.default_rng(2).normal(size=(2, 5)).astype(np.float32)
    params = parameters(decoder, codes)
    frames = np.asarray(jax.jit(lambda z: decoder.apply({"params": params}, z, train=False))(codes))
    x = (codes @ params["dense"]["kernel"] + params["dense"]["bias"])[:, None, None].astype(np.float64)
    for i in range(4):
        x = conv_transpose(x, params[f"conv_{i}"]["kernel"], 2) + params[f"conv_{i}"]["bias"]
        x = np.maximum(x, 0) if i < 3 else 1 / (1 + np.exp(-x))
    assert frames.shape == (2, 64, 64, 3) and frames.dtype == np.float32 and frames.std() > 0.01
    np.testing.assert_allclose(frames, x, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vae_learner_trains_it():
    """On images of a square at random positions, its reconstructions are better than any constant image."""
    config = Config(encoder_filters=(8, 8, 8, 16), decoder_units=32, decoder_filters=(16, 8, 8, 3), z_dim=5)
    optimizer = OPTIMIZERS["adam"](3e-3)
    learner = vae(WorldEncoder(config), WorldDecoder(config), optimizer, mse, z_dim=5, reconstruction_weight=1000.0)
    frames = np.zeros((16, 64, 64, 3), np.float32)
    for frame, (i, j) in zip(frames, np.random.default_rng(3).integers(0, 33, (16, 2)), strict=True):
        frame[i : i + 32, j : j + 32] = 1.0
    state = jax.jit(learner.init)(jax.random.key(0, impl="unsafe_rbg"), {"image": frames})
    step = jax.jit(learner.step, donate_argnums=0)
    for i in range(150):
        state, metrics = step(state, {"image": frames}, jax.random.key(i))
    best_single = 1000 * np.mean((frames - frames.mean(0)) ** 2)
    assert float(metrics["reconstruction_loss"]) < 0.7 * best_single and float(metrics["kl_loss"]) > 1


@pytest.mark.parametrize(
    ("changes", "field", "number"),
    [
        ({"encoder_kernel_sizes": (4, 4, 4, 5)}, "encoder_kernel_sizes", "5"),
        ({"encoder_kernel_sizes": (4, 4, 4)}, "encoder_kernel_sizes", "4"),
        ({"encoder_kernel_sizes": (4, 4, 4, 8)}, "encoder_strides", "6x6"),
        ({"decoder_kernel_sizes": (5, 5, 6, 5)}, "decoder_kernel_sizes", "63x63x3"),
        ({"decoder_filters": (64, 64, 32, 1)}, "decoder_filters", "64x64x1"),
    ],
)
def test_bad_hyperparameters_are_refused(changes, field, number):
    config = dataclasses.replace(Config(), **changes)
    with pytest.raises(ConfigError, match=number) as error:
        jax.eval_shape(lambda: WorldEncoder(config).init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False))
        jax.eval_shape(lambda: WorldDecoder(config).init(jax.random.key(0), jnp.zeros((1, 32)), train=False))
    assert field in str(error.value)
