"""Residual networks that translate images: CycleGAN's generator (Zhu et al. 2017, appendix 7.2; book 05_01).

Johnson et al. 2016 introduced it for fast style transfer; `FAST_STYLE` has their sizes. A 7x7 convolution, two
convolutions of stride 2, residual blocks, two upsampling layers, a 7x7 convolution; the blocks' inputs and those of the
first and last convolution are padded by reflection.
"""

from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Below, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.layers import Conv, ConvTranspose, Dropout, UpsampleConv, normal_init
from gdl_jax.nn.norms import NORMS, norm, reflect_pad

STRIDE = 4  # the generator halves the image twice
UPSAMPLINGS = ("transposed", "nearest", "bilinear")


@dataclass(frozen=True, kw_only=True)
class Config:
    resnet_filters: Annotated[int, AtLeast(1)] = 32  # channels of the ResNet's first convolution
    resnet_blocks: Annotated[int, AtLeast(0)] = 9  # number of the ResNet's residual blocks
    # kernel size of the ResNet's first and last convolution, an odd number
    resnet_kernel_size: Annotated[int, AtLeast(1)] = 7
    # normalisation in the ResNet: instance, affine_instance, batch or none
    resnet_norm: Annotated[str, OneOf(*NORMS)] = "instance"
    # the ResNet's upsampling: transposed convolutions, or nearest or bilinear upsampling before 3x3 convolutions
    resnet_upsampling: Annotated[str, OneOf(*UPSAMPLINGS)] = "transposed"
    resnet_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # dropout inside the residual blocks


FAST_STYLE = {
    "resnet_blocks": 5,
    "resnet_kernel_size": 9,
    "resnet_norm": "affine_instance",
    "resnet_upsampling": "nearest",
}


class ResNetGenerator(nn.Module):
    """Residual network from images (B, H, W, C) in [-1, 1] to images (B, H, W, channels) in (-1, 1).

    H and W must be divisible by 4.

    Attributes:
      channels: of the output.
    """

    config: Config
    channels: int = 3
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @property
    def stride(self) -> int:
        """Number by which height and width of an image must be divisible."""
        return STRIDE

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        config = self.config
        _check_size(config, x.shape[1:3])
        filters, edge = config.resnet_filters, config.resnet_kernel_size // 2
        # Johnson et al.'s network has biases before affine instance normalisation, too.
        common = {"use_bias": config.resnet_norm != "batch", "kernel_init": normal_init, "dtype": self.dtype}

        def normalised(x):
            return norm(config.resnet_norm, train, self.axis_name)(x)

        x = Conv(filters, config.resnet_kernel_size, padding="VALID", name="first", **common)(reflect_pad(x, edge))
        x = nn.relu(normalised(x))  # (B, H, W, filters)
        for i in (1, 2):
            x = nn.relu(normalised(Conv(2**i * filters, 3, 2, name=f"down_{i}", **common)(x)))
        for i in range(config.resnet_blocks):  # (B, H / 4, W / 4, 4 * filters)
            y = Conv(4 * filters, 3, padding="VALID", name=f"block_{i}_a", **common)(reflect_pad(x, 1))
            y = nn.relu(normalised(y))
            y = Dropout(config.resnet_dropout_rate, axis_name=self.axis_name)(y, deterministic=not train)
            y = Conv(4 * filters, 3, padding="VALID", name=f"block_{i}_b", **common)(reflect_pad(y, 1))
            x += normalised(y)
        for i in (1, 0):
            x = nn.relu(normalised(self._upsample(x, 2**i * filters, f"up_{i}", common)))
        common["use_bias"] = True
        x = Conv(self.channels, config.resnet_kernel_size, padding="VALID", name="last", **common)(reflect_pad(x, edge))
        return jnp.tanh(x.astype(jnp.float32))

    def _upsample(self, x: jax.Array, features: int, name: str, common: dict) -> jax.Array:
        """Returns features of twice the height and width."""
        kind = self.config.resnet_upsampling
        if kind == "transposed":
            return ConvTranspose(features, 3, 2, name=name, **common)(x)
        if kind == "nearest":
            return UpsampleConv(features, 3, 2, name=name, **common)(x)
        batch, height, width, channels = x.shape
        x = jax.image.resize(x, (batch, 2 * height, 2 * width, channels), "linear")
        return Conv(features, 3, padding="VALID", name=name, **common)(reflect_pad(x, 1))


def _check_size(config: Config, size: tuple[int, int]) -> None:
    """Raises ConfigError for images that the network can't process."""
    if config.resnet_kernel_size % 2 == 0:
        raise ConfigError("resnet_kernel_size", config.resnet_kernel_size, "must be odd")
    height, width = size
    if height % STRIDE or width % STRIDE:
        raise ConfigError("image_size", None, f"images of {height}x{width} are not divisible by {STRIDE}")
    least = max(2 * STRIDE, STRIDE * -(-(config.resnet_kernel_size // 2 + 1) // STRIDE))
    if min(size) < least:
        raise ConfigError(
            "image_size", None, f"images of {height}x{width} are too small; at least {least} pixels a side"
        )
