"""Colour quantisation: a palette of a few hundred colours, and pixels as indices into it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

SHADES = 32  # levels of each channel in the lookup table from colours to the palette


class Palette(NamedTuple):
    """A palette and its lookup table.

    Attributes:
      colors: (K, 3) float32 in [0, 1].
      nearest: (32, 32, 32) int32, the index of the nearest palette colour, by shades of red, green and blue.
    """

    colors: np.ndarray
    nearest: np.ndarray


def fit(images: np.ndarray, size: int = 256) -> Palette:
    """Returns a palette of at most `size` colours for images (N, H, W, C) uint8, by median cut and k-means."""
    pixels = Image.fromarray(np.broadcast_to(images, (*images.shape[:3], 3)).reshape(-1, images.shape[2], 3))
    reduced = pixels.quantize(size, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
    colors = np.array(reduced.getpalette(), np.float32).reshape(-1, 3)[:size] / 255.0
    middles = (np.arange(SHADES, dtype=np.float32) + 0.5) / SHADES
    cube = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = (colors**2).sum(1) - 2 * cube @ colors.T  # squared, up to a term that all colours share
    return Palette(colors, distances.argmin(1).astype(np.int32).reshape(SHADES, SHADES, SHADES))


def encode(palette: Palette, images: jax.Array) -> jax.Array:
    """Encodes images (B, H, W, 1 or 3) in [0, 1] as the palette index of each pixel, row by row: (B, H * W) int32."""
    shades = jnp.clip(images * SHADES, 0, SHADES - 1).astype(jnp.int32)
    red, green, blue = shades[..., 0], shades[..., shades.shape[-1] // 2], shades[..., -1]
    return jnp.asarray(palette.nearest)[red, green, blue].reshape(images.shape[0], -1)


def decode(palette: Palette, features: jax.Array, height: int) -> jax.Array:
    """Decodes palette indices (B, H * W) to images (B, H, W, 3) in [0, 1]."""
    return jnp.asarray(palette.colors)[features].reshape(features.shape[0], height, -1, 3)
