"""PatchGAN, a critic that scores overlapping patches (Isola et al. 2017, appendix 6.1.2; book 05_01).

Each 4x4 convolution of stride 2 doubles the channels, up to eight times the first; one of stride 1 follows, then the
scores. With three layers a score sees 70x70 pixels; with 1, 2, 5: 16, 34, 286; with none, one pixel. Padding is SAME,
as in the book: 16x16 scores for 128x128 pixels and three layers.
"""

from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.layers import Conv, normal_init
from gdl_jax.nn.norms import NORMS, has_bias, norm

KERNEL_SIZE = 4
LARGEST_MULTIPLE = 8  # of the first convolution's channels
SLOPE = 0.2  # of leaky ReLU


@dataclass(frozen=True, kw_only=True)
class Config:
    critic_filters: Annotated[int, AtLeast(1)] = 32  # channels of the critic's first convolution
    # convolutions of stride 2 in the critic: patches of 16, 34, 70, 142 or 286 pixels for 1 to 5; 0: single pixels
    critic_layers: Annotated[int, AtLeast(0)] = 3
    # normalisation in the critic: instance, affine_instance, batch or none
    critic_norm: Annotated[str, OneOf(*NORMS)] = "instance"


class PatchGAN(nn.Module):
    """Critic from images (B, H, W, C) in [-1, 1] to scores (B, H', W'), H' = ceil(H / 2^layers).

    Further images (B, H, W, C'), on which the scores are conditioned, are concatenated to the first.
    """

    config: Config
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *conditions: jax.Array, train: bool) -> jax.Array:
        chex.assert_rank((x, *conditions), 4)
        chex.assert_equal_shape_prefix((x, *conditions), 3)
        config = self.config
        size, stride = (KERNEL_SIZE, 2) if config.critic_layers else (1, 1)
        widths = [min(2**i, LARGEST_MULTIPLE) * config.critic_filters for i in range(config.critic_layers + 1)]
        if not config.critic_layers:
            widths.append(2 * config.critic_filters)
        common = {"kernel_init": normal_init, "dtype": self.dtype}
        x = jnp.concatenate([x, *conditions], axis=-1)
        for i, width in enumerate(widths):
            use_bias = i == 0 or not has_bias(config.critic_norm)
            strides = stride if i < config.critic_layers else 1
            x = Conv(width, size, strides, use_bias=use_bias, name=f"conv_{i}", **common)(x)
            if i:
                _check_size(config, x.shape[1:3])
                x = norm(config.critic_norm, train, self.axis_name)(x)
            x = nn.leaky_relu(x, SLOPE)  # (B, H / 2^(i + 1), ..., width)
        common["dtype"] = jnp.float32  # bfloat16 is too coarse for differences of scores
        return Conv(1, size, name="scores", **common)(x.astype(jnp.float32))[..., 0]


def _check_size(config: Config, size: tuple[int, int]) -> None:
    """Raises ConfigError for features that instance normalisation would make 0."""
    if size == (1, 1) and "instance" in config.critic_norm:
        reason = "leaves one position of these images, and instance normalisation makes it 0; take fewer"
        raise ConfigError("critic_layers", config.critic_layers, reason)
