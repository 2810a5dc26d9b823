"""Convolutions along one of several axes, such as the bars, steps or pitches of a piece of music.

Equivalent to 3-D convolutions with a kernel of length 1 along the other axes. Windows that don't overlap are one matrix
product with the kernel, fast on every platform, in loops and under differentiation of any order. Windows that overlap
go to `nn.conv`, with the array folded to two spatial axes.

In a training loop on CPU, lax's own convolution takes 20 times as long. The products don't use `nn.dense`: these
matrices have many more rows than columns, and transposing them for the kernel's gradient makes a step of the book's
MuseGAN 1.7 times as long on CPU.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from gdl_jax.nn.conv import conv
from gdl_jax.nn.layers import Initializer, glorot_uniform


def axis_conv(x: jax.Array, w: jax.Array, axis: int, stride: int = 1, padding: str = "SAME") -> jax.Array:
    """Cross-correlates along one axis.

    Args:
      x: (B, ..., C).
      w: (k, C, F), of x's dtype.
      axis: neither the first nor the last.
      stride: between neighbouring windows.
      padding: "SAME" (output ceil(n / stride); an odd zero goes behind) or "VALID" (floor((n - k) / stride) + 1).

    Returns:
      (B, ..., F), of x's shape except along `axis` and the last axis.
    """
    size, channels, features = w.shape
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 : -1]
    if padding == "VALID" and length == size:
        stride = size  # there is one window only
    if stride == size and length % size == 0:
        windows = x.reshape(-1, size, math.prod(after), channels).swapaxes(1, 2)
        y = windows.reshape(-1, size * channels) @ w.reshape(-1, features)
    else:
        y = conv(x.reshape(-1, length, math.prod(after), channels), w[:, None], (stride, 1), padding)
    return y.reshape(*before, -1, *after, features)


def axis_repeat(x: jax.Array, w: jax.Array, axis: int) -> jax.Array:
    """Applies a transposed convolution along one axis, with the kernel's length as stride: one position becomes k.

    Args:
      x: (B, ..., C).
      w: (k, C, F), of x's dtype.
      axis: neither the first nor the last.

    Returns:
      (B, ..., F), k times as long along `axis`.
    """
    size, channels, features = w.shape
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 : -1]
    y = x.reshape(-1, channels) @ w.swapaxes(0, 1).reshape(channels, -1)
    y = y.reshape(-1, math.prod(after), size, features).swapaxes(1, 2)
    return y.reshape(*before, length * size, *after, features)


def axis_conv_transpose(x: jax.Array, w: jax.Array, axis: int) -> jax.Array:
    """Applies a transposed convolution along one axis, with stride 1 and padding VALID.

    Args:
      x: (B, ..., n, ..., C), of length n along `axis`.
      w: (k, C, F), of x's dtype.
      axis: neither the first nor the last.

    Returns:
      (B, ..., n + k - 1, ..., F).
    """
    size, length = len(w), x.shape[axis]
    before, after = x.shape[:axis], x.shape[axis + 1 : -1]
    y = axis_repeat(x, w, axis).reshape(-1, length, size, math.prod(after) * w.shape[2])
    # Padding the rows and reshaping them to one column less shifts row i to the right by i: they are then summed.
    y = jnp.pad(y, [(0, 0), (0, 0), (0, length), (0, 0)]).reshape(len(y), length * (size + length), -1)
    y = y[:, : length * (size + length - 1)].reshape(len(y), length, size + length - 1, -1).sum(axis=1)
    return y.reshape(*before, -1, *after, w.shape[2])


class _AlongAxis(nn.Module):
    """Base of this file's layers.

    Attributes:
      features: output channels.
      kernel_size: length of the kernel.
      axis: of the convolution; neither the first nor the last.
      kernel_init: initializer of the kernel, (kernel_size, C, features).
      dtype: of the computation; None: promoted from input and parameters.
    """

    features: int
    kernel_size: int
    axis: int
    kernel_init: Initializer = glorot_uniform
    dtype: jnp.dtype | None = None

    def affine(self, x: jax.Array, function: Callable[[jax.Array, jax.Array], jax.Array]) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (self.kernel_size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return function(x, kernel) + bias


class AxisConv(_AlongAxis):
    """Layer of `axis_conv`: flax's `nn.Conv` along one axis, fast on CPU."""

    strides: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.affine(x, lambda x, w: axis_conv(x, w, self.axis, self.strides, self.padding))


class AxisRepeat(_AlongAxis):
    """Layer of `axis_repeat`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.affine(x, lambda x, w: axis_repeat(x, w, self.axis))


class AxisConvTranspose(_AlongAxis):
    """Layer of `axis_conv_transpose`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.affine(x, lambda x, w: axis_conv_transpose(x, w, self.axis))
