"""Fixed filters, to see what a convolution does (book 02_02)."""

import jax
import jax.numpy as jnp

from gdl_jax.nn.conv import conv


def edge_maps(image: jax.Array, filters: jax.Array, stride: int) -> jax.Array:
    """Cross-correlation with zeros around the image; the book's code shifts it by a pixel, this doesn't.

    Args:
      image: (H, W).
      filters: (F, kh, kw).
      stride: between neighbouring outputs.

    Returns:
      (F, H / stride, W / stride).
    """
    kernel = jnp.moveaxis(filters, 0, -1)[:, :, None]
    return jnp.moveaxis(conv(image[None, :, :, None], kernel, stride)[0], -1, 0)
