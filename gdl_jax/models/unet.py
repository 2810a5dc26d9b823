"""U-Nets that translate images: the book's (05_01) and pix2pix's (Isola et al. 2017, appendix 6.1).

On the way down, each 4x4 convolution of stride 2 halves height and width and doubles the channels, up to eight times
the first; on the way up, each output is concatenated with the features of its size from the way down. The defaults are
the book's; `PIX2PIX` has the paper's. Features are kept before their activation, which differs on the way down and up.
"""

from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Below, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.layers import Conv, ConvTranspose, Dropout, UpsampleConv, glorot_uniform, normal_init
from gdl_jax.nn.norms import NORMS, has_bias, norm

KERNEL_SIZE = 4
LARGEST_MULTIPLE = 8  # of the first convolution's channels
DROPPED = 3  # convolutions on the way up with dropout
INITIALIZERS = {"glorot": glorot_uniform, "normal": normal_init}
UPSAMPLINGS = {"nearest": UpsampleConv, "transposed": ConvTranspose}


@dataclass(frozen=True, kw_only=True)
class Config:
    unet_filters: Annotated[int, AtLeast(1)] = 32  # channels of the U-Net's first convolution
    unet_depth: Annotated[int, AtLeast(2)] = 4  # number of times that the U-Net halves the image
    # normalisation in the U-Net: instance, affine_instance, batch or none
    unet_norm: Annotated[str, OneOf(*NORMS)] = "instance"
    unet_norm_ends: bool = True  # normalise the U-Net's first and innermost features too
    unet_slope: Annotated[float, AtLeast(0)] = 0.0  # slope of leaky ReLU on the U-Net's way down; 0: ReLU
    # the U-Net's upsampling: nearest (nearest-neighbour, then a convolution) or transposed (transposed convolution)
    unet_upsampling: Annotated[str, OneOf(*UPSAMPLINGS)] = "nearest"
    # dropout on the U-Net's way up, after its first three convolutions
    unet_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    unet_init: Annotated[str, OneOf(*INITIALIZERS)] = "glorot"  # initial kernels: glorot, or normal (N(0, 0.02^2))


PIX2PIX = {
    "unet_filters": 64,
    "unet_depth": 8,
    "unet_norm": "affine_instance",  # at batch size 1, batch normalisation by the image's own statistics
    "unet_norm_ends": False,
    "unet_slope": 0.2,
    "unet_upsampling": "transposed",
    "unet_dropout_rate": 0.5,
    "unet_init": "normal",
}


class UNet(nn.Module):
    """U-Net from images (B, H, W, C) in [-1, 1] to images (B, H, W, channels) in (-1, 1).

    H and W must be divisible by 2^unet_depth.

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
        return 2**self.config.unet_depth

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        config = self.config
        _check_size(config, x.shape[1:3])
        common = {"kernel_init": INITIALIZERS[config.unet_init], "dtype": self.dtype}
        use_bias = not has_bias(config.unet_norm)
        widths = [config.unet_filters * min(2**level, LARGEST_MULTIPLE) for level in range(config.unet_depth)]
        innermost = config.unet_depth - 1

        features = []
        for level, width in enumerate(widths):
            if level:
                x = nn.leaky_relu(x, config.unet_slope)
            x = Conv(width, KERNEL_SIZE, 2, use_bias=use_bias, name=f"down_{level}", **common)(x)
            if config.unet_norm_ends or 0 < level < innermost:
                x = norm(config.unet_norm, train, self.axis_name)(x)  # (B, H / 2^(level + 1), ..., width)
            features.append(x)

        upsample = UPSAMPLINGS[config.unet_upsampling]
        for level in range(innermost, 0, -1):
            width = widths[level - 1]
            x = upsample(width, KERNEL_SIZE, 2, use_bias=use_bias, name=f"up_{level}", **common)(nn.relu(x))
            x = norm(config.unet_norm, train, self.axis_name)(x)
            if innermost - level < DROPPED:
                x = Dropout(config.unet_dropout_rate, axis_name=self.axis_name)(x, deterministic=not train)
            x = jnp.concatenate([x, features[level - 1]], axis=-1)  # (B, H / 2^level, ..., 2 * width)
        x = upsample(self.channels, KERNEL_SIZE, 2, name="up_0", **common)(nn.relu(x))
        return jnp.tanh(x.astype(jnp.float32))


def _check_size(config: Config, size: tuple[int, int]) -> None:
    """Raises ConfigError for images that can't be halved unet_depth times."""
    multiple = 2**config.unet_depth
    if any(side % multiple for side in size):
        height, width = size
        reason = f"images of {height}x{width} are not divisible by 2^{config.unet_depth} = {multiple}"
        raise ConfigError("unet_depth", config.unet_depth, reason)
    if config.unet_norm_ends and "instance" in config.unet_norm and size == (multiple, multiple):
        reason = f"leaves one pixel of {multiple}x{multiple}, and instance normalisation makes it 0; at most "
        raise ConfigError("unet_depth", config.unet_depth, f"{reason}{config.unet_depth - 1}, or unet_norm_ends=False")
