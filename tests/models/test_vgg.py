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
