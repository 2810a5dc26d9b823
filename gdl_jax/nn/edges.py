"""Convolution of an image with fixed filters, as an illustration (book 02_02)."""

import jax
import jax.numpy as jnp

from gdl_jax.nn.conv import conv


def edge_maps(image: jax.Array, filters: jax.Array, stride: int) -> jax.Array:
    """Cross-correlates a zero-padded image with filters, centred on every `stride`-th pixel from the first.

    The book's code indexes its padded image from -1, which shifts the result by a pixel; this one doesn't.

    Args:
      image: (H, W).
      filters: (F, kh, kw), kh and kw odd.
      stride: pixels between neighbouring outputs.

    Returns:
      (F, ceil(H / stride), ceil(W / stride)).
    """
    _, kh, kw = filters.shape
    padded = jnp.pad(image, ((kh // 2, kh // 2), (kw // 2, kw // 2)))
    kernel = jnp.moveaxis(filters, 0, -1)[:, :, None]
    return jnp.moveaxis(conv(padded[None, :, :, None], kernel, stride, "VALID")[0], -1, 0)
