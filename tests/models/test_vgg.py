"""VGG16 features against plain convolutions, and weight files."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gdl_jax.core.errors import UserError
from gdl_jax.models.vgg import BLOCKS, VGG16, bundled_weights, read_weights


@pytest.fixture(scope="module")
def weights():
    return bundled_weights()


def test_bundled_weights_have_vgg16s_shapes(weights):
    assert sum(leaf.size for leaf in jax.tree.leaves(weights)) == 14_714_688  # VGG16 without its dense layers
    like = jax.eval_shape(VGG16().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert jax.tree.map(jnp.shape, weights) == jax.tree.map(jnp.shape, like)


def test_activations_match_plain_convolutions_of_bgr_images(weights):
    images = jax.random.uniform(jax.random.key(0), (2, 20, 16, 3))
    features = jax.jit(VGG16().apply)(weights, images)
    x = np.asarray(images)[..., ::-1] * 255 - np.array([103.939, 116.779, 123.68])
    for block, widths in enumerate(BLOCKS[:2], 1):
        for layer in range(1, len(widths) + 1):
            values = weights["params"][f"block{block}_conv{layer}"]
            dimensions = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(
                jnp.asarray(x, jnp.float32), values["kernel"], (1, 1), "SAME", None, None, dimensions
            )
            x = np.maximum(np.asarray(x) + values["bias"], 0)
            np.testing.assert_allclose(features[f"block{block}_conv{layer}"], x, rtol=1e-3, atol=1e-3 * np.abs(x).max())
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    assert features["block5_conv3"].shape == (2, 2, 1, 512)


def test_damaged_and_other_files_are_refused(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["block1/layers/conv2d/vars/0"] = np.zeros((5, 5, 3, 64), np.float32)
        file["block1/layers/conv2d/vars/1"] = np.zeros(64, np.float32)
    short = tmp_path / "short.h5"
    with h5py.File(short, "w") as file:
        file["block1/layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 64), np.float32)
    for path in (text, other, short, tmp_path / "missing.h5"):
        with pytest.raises(UserError, match=path.name) as error:
            read_weights(path)
        assert "\n" not in str(error.value)


def test_stops_at_the_deepest_layer_asked_for():
    network = VGG16(("block2_conv1", "block1_conv1"))
    params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    assert list(params) == ["block1_conv1", "block1_conv2", "block2_conv1"]
    features = jax.eval_shape(network.apply, {"params": params}, jnp.zeros((1, 8, 8, 3)))
    assert sorted(features) == ["block1_conv1", "block2_conv1"]


@pytest.mark.parametrize(("pooling", "reduce"), [("max", np.max), ("average", np.mean)])
def test_valid_pooling_ignores_an_odd_row(weights, pooling, reduce):
    images = jax.random.uniform(jax.random.key(0), (1, 7, 9, 3))
    layers = ("block1_conv2", "block2_conv1")
    features = jax.jit(VGG16(layers, pooling, "VALID").apply)(weights, images)
    x = np.asarray(features["block1_conv2"])[:, :6, :8].reshape(1, 3, 2, 4, 2, 64)
    values = weights["params"]["block2_conv1"]
    x = lax.conv_general_dilated(
        reduce(x, (2, 4)), values["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = np.maximum(np.asarray(x) + values["bias"], 0)
    np.testing.assert_allclose(features["block2_conv1"], expected, rtol=1e-3, atol=1e-3 * expected.max())
