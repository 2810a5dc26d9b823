"""The book's two convolutional classifiers: the small one of figure 2-13, and the one of 02_03.

With the defaults: [3x3 convolution -> batch norm -> leaky ReLU] x 4, dense 128 -> batch norm -> leaky ReLU -> dropout,
one logit a class. The small one has convolutions without activations and nothing between them and the logits.
"""

from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Below
from gdl_jax.models.checks import activation, convolutions, dropout_rate
from gdl_jax.nn.layers import BatchNorm, Conv, Dense, Dropout


@dataclass(frozen=True, kw_only=True)
class Config:
    # channels of the CNN's convolutions (book 02_03)
    filters: Annotated[tuple[int, ...], AtLeast(1)] = (32, 32, 64, 64)
    kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (3, 3, 3, 3)  # of each convolution
    strides: Annotated[tuple[int, ...], AtLeast(1)] = (1, 2, 1, 2)  # of each convolution
    dense_units: Annotated[int, AtLeast(0)] = 128  # of the layer between convolutions and logits; 0: no such layer
    use_batch_norm: bool = True  # after each convolution and the dense layer
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.5  # after the dense layer
    activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.3


SMALL = Config(
    filters=(10, 20),
    kernel_sizes=(4, 3),
    strides=(2, 2),
    dense_units=0,
    use_batch_norm=False,
    dropout_rate=0.0,
    activation="identity",
)


class CNN(nn.Module):
    """(B, H, W, C) -> logits (B, outputs)."""

    config: Config
    outputs: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        config = self.config
        activate = activation(config)

        def normalised(x):
            if config.use_batch_norm:
                x = BatchNorm(axis_name=self.axis_name)(x, use_running_average=not train)
            return activate(x)

        for features, size, stride in convolutions(config):
            x = normalised(Conv(features, size, stride, dtype=self.dtype)(x))  # (B, H / stride, W / stride, features)
        x = x.reshape(x.shape[0], -1)
        if config.dense_units:
            x = normalised(Dense(config.dense_units, dtype=self.dtype)(x))
            x = Dropout(dropout_rate(config), axis_name=self.axis_name)(x, deterministic=not train)
        self.sow("intermediates", "features", x)  # (B, units): for FID and the like
        return Dense(self.outputs, dtype=self.dtype)(x).astype(jnp.float32)
