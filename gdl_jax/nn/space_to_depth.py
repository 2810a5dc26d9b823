"""Strided convolutions as convolutions of stride 1 on blocks of pixels (space to depth).

A block of s x s pixels becomes one pixel with s^2 times the channels. A convolution of stride s whose kernel size is a
multiple of s becomes one of stride 1 with a kernel 1/s the size. Its patches are copied in 1/s^2 as many pieces, each
s^2 times as long; this copying dominates the time of convolutions with few channels.
"""

import jax
from flax import linen as nn

from gdl_jax.nn.conv import conv
from gdl_jax.nn.layers import Conv


def space_to_depth(x: jax.Array, block: int) -> jax.Array:
    """Moves blocks of pixels to channels, row by row: (B, block * h, block * w, C) -> (B, h, w, block^2 * C)."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // block, block, width // block, block, channels)
    return x.swapaxes(2, 3).reshape(batch, height // block, width // block, -1)


def strided_conv(x: jax.Array, w: jax.Array, stride: int) -> jax.Array:
    """Returns `nn.conv.conv` of x with w, with padding VALID.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype; kh and kw multiples of the stride.
      stride: the same in both directions.

    Returns:
      (B, floor((H - kh) / stride) + 1, floor((W - kw) / stride) + 1, F).
    """
    height, width = (size // stride * stride for size in x.shape[1:3])  # no window covers the rest
    kernel = space_to_depth(w.transpose(3, 0, 1, 2), stride).transpose(1, 2, 3, 0)
    return conv(space_to_depth(x[:, :height, :width], stride), kernel, 1, "VALID")


class StridedConv(Conv):
    """Layer of `strided_conv`: `nn.layers.Conv` with padding VALID, the same parameters and the same outputs."""

    padding: str = "VALID"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.convolve(x, lambda x, kernel, stride, padding: strided_conv(x, kernel, stride))
