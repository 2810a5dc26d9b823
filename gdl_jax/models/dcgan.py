"""Convolutional generators and critics of the book's chapter 4 (04_01, 04_02, 04_03).

The defaults are those of the GAN, 04_01; all kernels are initialised as N(0, 0.02^2). The generator's last convolution
has neither batch normalisation nor dropout, and its activation is tanh: images are in [-1, 1]. With classes, the
generator's input is the noise and the one-hot label, and the critic adds <embedding of the label, features> to its
score (projection; Miyato & Koyama 2018).
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
from gdl_jax.core.lookup import resolve
from gdl_jax.models.checks import activation, convolutions, dropout_rate
from gdl_jax.nn.layers import ACTIVATIONS, BatchNorm, Conv, ConvTranspose, Dense, Dropout, UpsampleConv, normal_init

UPSAMPLINGS = {"nearest": UpsampleConv, "transposed": ConvTranspose}


@dataclass(frozen=True, kw_only=True)
class Config:
    z_dim: Annotated[int, AtLeast(1)] = 100  # dimensions of the generator's noise, N(0, 1)
    # channels of the generator's first feature map, the output of its dense layer
    first_filters: Annotated[int, AtLeast(1)] = 64
    # channels of the generator's convolutions; the last number must be the image's channels
    generator_filters: Annotated[tuple[int, ...], AtLeast(1)] = (128, 64, 64, 1)
    # kernel size of each of the generator's convolutions
    generator_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (5, 5, 5, 5)
    # upsampling factor of each of the generator's convolutions
    generator_strides: Annotated[tuple[int, ...], AtLeast(1)] = (2, 2, 1, 1)
    # nearest (nearest-neighbour upsampling, then a convolution) or transposed (transposed convolution)
    upsampling: str = "nearest"
    generator_activation: str = "relu"  # a name or package.module:function
    # momentum of the generator's batch normalisation; 0: no normalisation
    batch_norm_momentum: Annotated[float, AtLeast(0), Below(1)] = 0.9
    # dropout after each of the generator's convolutions but the last
    generator_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    critic_filters: Annotated[tuple[int, ...], AtLeast(1)] = (64, 64, 128, 128)  # channels of the critic's convolutions
    # kernel size of each of the critic's convolutions
    critic_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (5, 5, 5, 5)
    critic_strides: Annotated[tuple[int, ...], AtLeast(1)] = (2, 2, 2, 1)  # stride of each of the critic's convolutions
    critic_activation: str = "relu"  # a name or package.module:function
    critic_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.4  # dropout after each of the critic's convolutions
    spectral_norm: bool = False  # divide each of the critic's kernels by its largest singular value


def leaky_relu(x: jax.Array) -> jax.Array:
    """Returns max(x, 0.2 x), with the slope of all of the book's GANs but MuseGAN."""
    return nn.leaky_relu(x, 0.2)


GAN_ACTIVATIONS = {**ACTIVATIONS, "leaky_relu": leaky_relu}


class Generator(nn.Module):
    """Generator from noise (B, z_dim) and, with classes, labels (B,) to images (B, H, W, C) in (-1, 1).

    Attributes:
      image_shape: (H, W, C); the first feature map has H and W divided by the product of the strides.
      classes: number of classes; 0: no labels.
    """

    config: Config
    image_shape: tuple[int, int, int]
    classes: int = 0
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array | None = None, *, train: bool) -> jax.Array:
        config = self.config
        chex.assert_shape(z, (None, config.z_dim))
        sizes = list(convolutions(config, "generator_"))
        activate = activation(config, "generator_", GAN_ACTIVATIONS)
        upsample = resolve("upsampling", config.upsampling, UPSAMPLINGS)
        height, width = _first_size(config, self.image_shape)

        def normalised(x):
            if config.batch_norm_momentum:
                x = BatchNorm(config.batch_norm_momentum, axis_name=self.axis_name)(x, use_running_average=not train)
            return activate(x)

        if self.classes:
            chex.assert_shape(labels, (len(z),))
            z = jnp.concatenate([z, jax.nn.one_hot(labels, self.classes)], axis=1)  # (B, z_dim + classes)
        units = height * width * config.first_filters
        x = normalised(Dense(units, kernel_init=normal_init, dtype=self.dtype)(z))
        x = x.reshape(-1, height, width, config.first_filters)
        for i, (features, size, stride) in enumerate(sizes):
            # A transposed convolution of stride 1 is a convolution with the flipped kernel.
            layer = Conv(features, size, kernel_init=normal_init, dtype=self.dtype)
            if stride > 1:
                layer = upsample(features, size, stride, kernel_init=normal_init, dtype=self.dtype)
            x = layer(x)  # (B, stride * h, stride * w, features)
            if i < len(sizes) - 1:
                rate = dropout_rate(config, "generator_")
                x = Dropout(rate, axis_name=self.axis_name)(normalised(x), deterministic=not train)
        return jnp.tanh(x.astype(jnp.float32))


def _first_size(config: Config, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    height, width, channels = image_shape
    scale = math.prod(config.generator_strides)
    if height % scale or width % scale:
        reason = f"images of {height}x{width} are not divisible by the strides' product, {scale}"
        raise ConfigError("generator_strides", config.generator_strides, reason)
    if config.generator_filters[-1] != channels:
        reason = f"must end with the images' channels, {channels}"
        raise ConfigError("generator_filters", config.generator_filters, reason)
    return height // scale, width // scale


class Critic(nn.Module):
    """Critic from images (B, H, W, C) in [-1, 1] and, with classes, labels (B,) to scores (B,).

    Attributes:
      classes: number of classes; 0: no labels.
    """

    config: Config
    classes: int = 0
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, labels: jax.Array | None = None, *, train: bool) -> jax.Array:
        chex.assert_rank(x, 4)
        config = self.config
        activate = activation(config, "critic_", GAN_ACTIVATIONS)
        common = {"kernel_init": normal_init, "spectral_norm": config.spectral_norm, "dtype": self.dtype}
        rate = dropout_rate(config, "critic_")
        for features, size, stride in convolutions(config, "critic_"):
            x = activate(Conv(features, size, stride, **common)(x))  # (B, h / stride, w / stride, features)
            x = Dropout(rate, axis_name=self.axis_name)(x, deterministic=not train)
        common["dtype"] = jnp.float32  # bfloat16 is too coarse for differences of scores
        x = x.reshape(len(x), -1).astype(jnp.float32)
        score = Dense(1, **common)(x)[:, 0]
        if self.classes:
            chex.assert_shape(labels, (len(x),))
            embedding = Dense(x.shape[1], use_bias=False, **common)(jax.nn.one_hot(labels, self.classes))
            score += (embedding * x).sum(axis=1)
        return score
