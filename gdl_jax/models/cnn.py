"""The book's two convolutional classifiers: the one of 02_03, and the small one of figure 2-13 (`SMALL`).

The defaults are those of 02_03: [3x3 convolution -> batch norm -> leaky ReLU] x 4, dense 128 -> batch norm -> leaky
ReLU -> dropout, one logit per class. The small one has convolutions without activations, then the logits.
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
    kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (3, 3, 3, 3)  # kernel size of each convolution
    strides: Annotated[tuple[int, ...], AtLeast(1)] = (1, 2, 1, 2)  # stride of each convolution
    dense_units: Annotated[int, AtLeast(0)] = 128  # units of the dense layer before the logits; 0: no such layer
    use_batch_norm: bool = True  # batch normalisation after each convolution and the dense layer
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.5  # dropout after the dense layer
    activation: str = "leaky_relu"  # a name or package.module:function; leaky_relu has slope 0.3


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
    """Convolutional classifier, (B, H, W, C) -> logits (B, outputs)."""

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
        self.sow("intermediates", "features", x)  # (B, units), for FID and similar metrics
        return Dense(self.outputs, dtype=self.dtype)(x).astype(jnp.float32)
