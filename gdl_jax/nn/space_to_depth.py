"""Strided convolutions as convolutions of stride 1 on squares of pixels.

A square of s x s pixels becomes one pixel of s^2 times the channels. A convolution of stride s whose kernel is a
multiple of s wide is then one of stride 1, whose windows are 1/s as wide: they are laid out in 1/s^2 as many pieces,
each s^2 times as long, which is what the time of a convolution of few channels goes into.
"""

import jax
from flax import linen as nn

from gdl_jax.nn.conv import conv
from gdl_jax.nn.layers import Conv


def space_to_depth(x: jax.Array, block: int) -> jax.Array:
    """(B, block * h, block * w, C) -> (B, h, w, block^2 * C), the pixels of a square row by row."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // block, block, width // block, block, channels)
    return x.swapaxes(2, 3).reshape(batch, height // block, width // block, -1)


def strided_conv(x: jax.Array, w: jax.Array, stride: int) -> jax.Array:
    """`nn.conv.conv` with padding VALID.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype; kh and kw multiples of the stride.
      stride: the same in both directions.

    Returns:
      (B, floor((H - kh) / stride) + 1, floor((W - kw) / stride) + 1, F).
    """
    height, width = (size // stride * stride for size in x.shape[1:3])  # what is cut off lies under no window
    kernel = space_to_depth(w.transpose(3, 0, 1, 2), stride).transpose(1, 2, 3, 0)
    return conv(space_to_depth(x[:, :height, :width], stride), kernel, 1, "VALID")


class StridedConv(Conv):
    """`nn.layers.Conv` with padding VALID, by `strided_conv`; the same parameters and the same numbers."""

    padding: str = "VALID"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.convolve(x, lambda x, kernel, stride, padding: strided_conv(x, kernel, stride))
