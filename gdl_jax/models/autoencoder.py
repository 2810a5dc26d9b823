"""Convolutional encoders and decoders of the book's autoencoders (03_01) and variational autoencoders (03_03, 03_05).

The autoencoder's encoder returns a code, the variational one's the mean and log-variance of a Gaussian over codes. The
defaults are those of 03_01. Batch normalisation comes before the activation, as in the book's variational autoencoder;
in the book's plain autoencoder, where it is off by default, it comes after.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Below
from gdl_jax.core.errors import ConfigError
from gdl_jax.models.checks import activation, convolutions, dropout_rate
from gdl_jax.nn.layers import BatchNorm, Conv, ConvTranspose, Dense, Dropout


@dataclass(frozen=True, kw_only=True)
class Config:
    encoder_filters: Annotated[tuple[int, ...], AtLeast(1)] = (32, 64, 64, 64)  # channels of the encoder's convolutions
    encoder_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (3, 3, 3, 3)  # kernel size of each convolution
    encoder_strides: Annotated[tuple[int, ...], AtLeast(1)] = (1, 2, 2, 1)  # stride of each convolution
    # channels of the decoder's transposed convolutions; the last number must be the image's channels
    decoder_filters: Annotated[tuple[int, ...], AtLeast(1)] = (64, 64, 32, 1)
    # kernel size of each transposed convolution
    decoder_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (3, 3, 3, 3)
    decoder_strides: Annotated[tuple[int, ...], AtLeast(1)] = (1, 2, 2, 1)  # stride of each transposed convolution
    z_dim: Annotated[int, AtLeast(1)] = 2  # dimensions of the latent space
    use_batch_norm: bool = False  # batch normalisation after each convolution but the decoder's last
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # dropout after each convolution but the decoder's last
    activation: str = "leaky_relu"  # a name or package.module:function; leaky_relu has slope 0.3


class _Block(nn.Module):
    """Normalisation, activation and dropout after a convolution."""

    config: Config
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        if self.config.use_batch_norm:
            x = BatchNorm(axis_name=self.axis_name)(x, use_running_average=not train)
        x = activation(self.config)(x)
        return Dropout(dropout_rate(self.config), axis_name=self.axis_name)(x, deterministic=not train)


class Trunk(nn.Module):
    """Convolutional stack of the encoders, (B, H, W, C) -> features (B, h * w * encoder_filters[-1])."""

    config: Config
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        config = self.config
        for i, (features, size, stride) in enumerate(convolutions(config, "encoder_")):
            x = Conv(features, size, stride, dtype=self.dtype, name=f"conv_{i}")(x)
            x = _Block(config, self.axis_name, name=f"block_{i}")(x, train=train)
        return x.reshape(x.shape[0], -1)


class Encoder(nn.Module):
    """Encoder of the autoencoder, (B, H, W, C) -> codes (B, z_dim)."""

    config: Config
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = Trunk(self.config, self.dtype, self.axis_name, name="trunk")(x, train=train)
        return Dense(self.config.z_dim, dtype=self.dtype, name="z")(x).astype(jnp.float32)


class GaussianEncoder(nn.Module):
    """Encoder of the variational autoencoder, (B, H, W, C) -> mean and log-variance of q(z | x), each (B, z_dim)."""

    config: Config
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        x = Trunk(self.config, self.dtype, self.axis_name, name="trunk")(x, train=train)
        mean = Dense(self.config.z_dim, dtype=self.dtype, name="mean")(x)
        log_var = Dense(self.config.z_dim, dtype=self.dtype, name="log_var")(x)
        return mean.astype(jnp.float32), log_var.astype(jnp.float32)


class Decoder(nn.Module):
    """Decoder of codes (B, z_dim) to images (B, H, W, C) in (0, 1).

    Attributes:
      image_shape: (H, W, C) of the images. The first dense layer's output has H and W divided by the product of the
        strides, and the encoder's last number of channels.
    """

    config: Config
    image_shape: tuple[int, int, int]
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        config = self.config
        chex.assert_shape(z, (None, config.z_dim))
        sizes = list(convolutions(config, "decoder_"))
        height, width, channels = self.image_shape
        scale = math.prod(config.decoder_strides)
        if height % scale or width % scale:
            reason = f"images of {height}x{width} are not divisible by the strides' product, {scale}"
            raise ConfigError("decoder_strides", config.decoder_strides, reason)
        if config.decoder_filters[-1] != channels:
            reason = f"must end with the images' channels, {channels}"
            raise ConfigError("decoder_filters", config.decoder_filters, reason)
        start = (height // scale, width // scale, config.encoder_filters[-1])
        x = Dense(math.prod(start), dtype=self.dtype, name="dense")(z).reshape(-1, *start)  # (B, h, w, F)
        for i, (features, size, stride) in enumerate(sizes):
            x = ConvTranspose(features, size, stride, dtype=self.dtype, name=f"conv_{i}")(x)
            if i < len(sizes) - 1:
                x = _Block(config, self.axis_name, name=f"block_{i}")(x, train=train)
        return nn.sigmoid(x.astype(jnp.float32))
