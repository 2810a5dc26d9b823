"""Vision of the world models: a variational autoencoder of 64x64 frames (Ha & Schmidhuber 2018; book chapter 8).

No convolution is padded. The defaults are the book's; `PAPER` is the paper's wider network.
`gdl_jax.learners.variational.vae` trains both networks; agents encode frames with `encode_frames`.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.errors import ConfigError
from gdl_jax.models.checks import convolutions
from gdl_jax.nn.layers import ConvTranspose, Dense
from gdl_jax.nn.space_to_depth import StridedConv

CHUNK = 16  # frames encoded at a time on CPU, so that the layers' patches stay in cache


@dataclass(frozen=True, kw_only=True)
class Config:
    # channels of the encoder's convolutions
    encoder_filters: Annotated[tuple[int, ...], AtLeast(1)] = (32, 64, 64, 128)
    # kernel size of each convolution, a multiple of its stride
    encoder_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (4, 4, 4, 4)
    encoder_strides: Annotated[tuple[int, ...], AtLeast(1)] = (2, 2, 2, 2)  # stride of each convolution
    decoder_units: Annotated[int, AtLeast(1)] = 1024  # channels of the decoder's first feature map, 1x1
    # channels of the decoder's transposed convolutions; the last number must be the image's channels
    decoder_filters: Annotated[tuple[int, ...], AtLeast(1)] = (64, 64, 32, 3)
    # kernel size of each transposed convolution
    decoder_kernel_sizes: Annotated[tuple[int, ...], AtLeast(1)] = (5, 5, 6, 6)
    decoder_strides: Annotated[tuple[int, ...], AtLeast(1)] = (2, 2, 2, 2)  # stride of each transposed convolution
    z_dim: Annotated[int, AtLeast(1)] = 32  # dimensions of the latent space


PAPER = Config(encoder_filters=(32, 64, 128, 256), decoder_filters=(128, 64, 32, 3))


class WorldEncoder(nn.Module):
    """Encoder from frames (B, H, W, C) in [0, 1] to mean and log-variance of q(z | x), each (B, z_dim)."""

    config: Config
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
        del train
        chex.assert_rank(x, 4)
        config = self.config
        for i, (features, size, stride) in enumerate(convolutions(config, "encoder_")):
            if size % stride:
                reason = f"{size} is not a multiple of its stride, {stride}"
                raise ConfigError("encoder_kernel_sizes", config.encoder_kernel_sizes, reason)
            if min(x.shape[1:3]) < size:
                reason = f"layer {i + 1} gets {x.shape[1]}x{x.shape[2]} pixels, fewer than its kernel of {size}x{size}"
                raise ConfigError("encoder_strides", config.encoder_strides, reason)
            x = StridedConv(features, size, stride, dtype=self.dtype, name=f"conv_{i}")(x)
            x = nn.relu(x)  # (B, 31, 31, 32), (B, 14, 14, 64), (B, 6, 6, 64), (B, 2, 2, 128)
        x = x.reshape(x.shape[0], -1)  # (B, 512)
        mean = Dense(config.z_dim, dtype=self.dtype, name="mean")(x)
        log_var = Dense(config.z_dim, dtype=self.dtype, name="log_var")(x)
        return mean.astype(jnp.float32), log_var.astype(jnp.float32)


class WorldDecoder(nn.Module):
    """Decoder from codes (B, z_dim) to frames (B, H, W, C) in (0, 1).

    Attributes:
      image_shape: (H, W, C), the size to which kernels and strides must enlarge one pixel.
    """

    config: Config
    image_shape: tuple[int, int, int] = (64, 64, 3)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z: jax.Array, *, train: bool) -> jax.Array:
        del train
        config = self.config
        chex.assert_shape(z, (None, config.z_dim))
        layers = list(convolutions(config, "decoder_"))
        x = Dense(config.decoder_units, dtype=self.dtype, name="dense")(z)[:, None, None]  # (B, 1, 1, 1024)
        for i, (features, size, stride) in enumerate(layers):
            x = ConvTranspose(features, size, stride, "VALID", dtype=self.dtype, name=f"conv_{i}")(x)
            if i < len(layers) - 1:
                x = nn.relu(x)  # (B, 5, 5, 64), (B, 13, 13, 64), (B, 30, 30, 32)
        if x.shape[1:] != self.image_shape:
            actual, expected = ("x".join(map(str, shape)) for shape in (x.shape[1:], self.image_shape))
            reason = f"with decoder_strides and decoder_filters gives images of {actual} instead of {expected}"
            raise ConfigError("decoder_kernel_sizes", config.decoder_kernel_sizes, reason)
        return nn.sigmoid(x.astype(jnp.float32))  # (B, 64, 64, 3)


def encode_frames(encoder: WorldEncoder, params: Any, frames: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns mean and log-variance of frames, each (B, z_dim).

    On CPU, frames are encoded CHUNK at a time.

    Args:
      encoder: the network.
      params: its parameters.
      frames: (B, H, W, C), uint8, or floats in [0, 1].
    """
    chex.assert_rank(frames, 4)

    def encode(frames):
        pixels = frames / jnp.float32(255) if frames.dtype == jnp.uint8 else frames
        return encoder.apply({"params": params}, pixels, train=False)

    def in_chunks(frames):
        count = len(frames) // CHUNK
        chunks, rest = frames[: count * CHUNK].reshape(count, CHUNK, *frames.shape[1:]), frames[count * CHUNK :]
        parts = jax.tree.map(lambda x: x.reshape(count * CHUNK, x.shape[-1]), lax.map(encode, chunks))
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), parts, encode(rest)) if len(rest) else parts

    return lax.platform_dependent(frames, cpu=in_chunks, default=encode)
