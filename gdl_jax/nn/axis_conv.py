"""Convolutions along one axis of an array that has several: bars, steps and pitches of a piece, time and frequency.

A three-dimensional convolution whose kernel has length 1 along two of its axes is one of these. Where windows don't
overlap, they are the rows of a matrix already: one product with the kernel, fast on every platform, in loops and under
differentiation of any order. Where they do overlap, they are `nn.conv`'s, on the array folded to two spatial axes.

In a training loop on CPU, lax's own takes 20 times as long. The products are plain ones, not `nn.dense`'s: these
matrices have many more rows than columns, and to turn them round for the kernel's gradient makes a step of the book's
MuseGAN take 1.7 times as long on CPU.
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
    """Cross-correlation along one axis.

    Args:
      x: (B, ..., C).
      w: (k, C, F), of x's dtype.
      axis: along which; neither the first nor the last.
      stride: between neighbouring windows.
      padding: "SAME" (output ceil(n / stride); an odd zero goes behind) or "VALID" (floor((n - k) / stride) + 1).

    Returns:
      (B, ..., F), of x's shape but for that axis and the last.
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
    """Transposed convolution along one axis whose stride is its kernel's length: each place becomes k places.

    Args:
      x: (B, ..., C).
      w: (k, C, F), of x's dtype.
      axis: along which; neither the first nor the last.

    Returns:
      (B, ..., F), k times as long along that axis.
    """
    size, channels, features = w.shape
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 : -1]
    y = x.reshape(-1, channels) @ w.swapaxes(0, 1).reshape(channels, -1)
    y = y.reshape(-1, math.prod(after), size, features).swapaxes(1, 2)
    return y.reshape(*before, length * size, *after, features)


def axis_conv_transpose(x: jax.Array, w: jax.Array, axis: int) -> jax.Array:
    """Transposed convolution along one axis, of stride 1 and VALID: each place is added to the k places from it on.

    Args:
      x: (B, ..., n, ..., C), n places along `axis`.
      w: (k, C, F), of x's dtype.
      axis: along which; neither the first nor the last.

    Returns:
      (B, ..., n + k - 1, ..., F).
    """
    size, places = len(w), x.shape[axis]
    before, after = x.shape[:axis], x.shape[axis + 1 : -1]
    y = axis_repeat(x, w, axis).reshape(-1, places, size, math.prod(after) * w.shape[2])
    # Rows that are read on a column shorter than they are move to the right, each by one more than the row before.
    y = jnp.pad(y, [(0, 0), (0, 0), (0, places), (0, 0)]).reshape(len(y), places * (size + places), -1)
    y = y[:, : places * (size + places - 1)].reshape(len(y), places, size + places - 1, -1).sum(axis=1)
    return y.reshape(*before, -1, *after, w.shape[2])


class _AlongAxis(nn.Module):
    """What the layers of this file share.

    Attributes:
      features: output channels.
      kernel_size: length of the kernel.
      axis: along which; neither the first nor the last.
      kernel_init: initializer of the kernel, (kernel_size, C, features).
      dtype: the type in which to compute; None is that of the input and the parameters.
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
    """See `axis_conv`."""

    strides: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.affine(x, lambda x, w: axis_conv(x, w, self.axis, self.strides, self.padding))


class AxisRepeat(_AlongAxis):
    """See `axis_repeat`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.affine(x, lambda x, w: axis_repeat(x, w, self.axis))


class AxisConvTranspose(_AlongAxis):
    """See `axis_conv_transpose`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.affine(x, lambda x, w: axis_conv_transpose(x, w, self.axis))
