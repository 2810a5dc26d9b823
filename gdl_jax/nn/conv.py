"""Convolutions that stay fast on XLA:CPU, inside loops and under differentiation of any order.

XLA:CPU runs a convolution fast only if its operands are in NHWC/HWIO order. Those of the gradients of
`lax.conv_general_dilated` are not, and the compiler pass that corrects this doesn't act inside loops: a training step
there is 20 times slower. On CPU this file computes convolutions as matrix products of patches instead.

A convolution is bilinear, so <conv(x, w), g> is linear in each of x, w and g, and `_forward`, `_input_gradient` and
`_kernel_gradient` are one another's derivatives: each is a `custom_vjp` in terms of the other two, to any order. On
other platforms each of them is lax's own.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

LAID_OUT_AT_ONCE = 2**23  # most elements of patches in memory; larger batches are processed in chunks

_Pair = tuple[int, int]
_Bilinear = Callable[["_Geometry", jax.Array, jax.Array], jax.Array]


class _Geometry(NamedTuple):
    """Static shape parameters of a convolution; every field is (vertical, horizontal)."""

    input: _Pair  # height and width of x
    output: _Pair  # height and width of y
    kernel: _Pair
    stride: _Pair
    low: _Pair  # zeros above and to the left of x


def conv(x: jax.Array, w: jax.Array, stride: int | _Pair = 1, padding: str = "SAME") -> jax.Array:
    """Returns the 2-D cross-correlation of x with w.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype.
      stride: one number, or (vertical, horizontal).
      padding: "SAME" as in TensorFlow (output ceil(H / stride); an odd zero goes below and to the right) or "VALID"
        (output floor((H - kh) / stride) + 1).

    Returns:
      (B, H', W', F).
    """
    stride = _pair(stride)
    kernel = w.shape[:2]
    output, low = zip(*map(partial(_output_and_low, padding), x.shape[1:3], kernel, stride), strict=True)
    return _forward(_Geometry(x.shape[1:3], output, kernel, stride, low), x, w)


def conv_transpose(x: jax.Array, w: jax.Array, stride: int | _Pair = 1, padding: str = "SAME") -> jax.Array:
    """Returns the transposed 2-D convolution: the gradient of `conv` for its input, aligned as in TensorFlow.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype. The kernel of the corresponding `conv` is w.swapaxes(2, 3).
      stride: one number, or (vertical, horizontal).
      padding: "SAME" (output stride * H) or "VALID" (output stride * (H - 1) + max(kh, stride)).

    Returns:
      (B, H', W', F).
    """
    stride = _pair(stride)
    kernel = w.shape[:2]
    if padding == "SAME":
        size = tuple(s * n for s, n in zip(stride, x.shape[1:3], strict=True))
    else:
        size = tuple(s * (n - 1) + max(k, s) for s, n, k in zip(stride, x.shape[1:3], kernel, strict=True))
    _, low = zip(*map(partial(_output_and_low, padding), size, kernel, stride), strict=True)
    return _input_gradient(_Geometry(size, x.shape[1:3], kernel, stride, low), x, w.swapaxes(2, 3))


def upsample_conv(x: jax.Array, w: jax.Array, factor: int | _Pair) -> jax.Array:
    """Upsamples by repeating each pixel `factor` times in both directions, then convolves with padding SAME, stride 1.

    Kernel elements that fall on copies of one pixel are summed first, which leaves `factor`^2 smaller convolutions of x
    itself, one per position of an output within a block of copies. With a 5x5 kernel and factor 2 they are 3x3: 9 / 25
    of the multiplications.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype.
      factor: one number, or (vertical, horizontal).

    Returns:
      (B, factor * H, factor * W, F).
    """
    factor = _pair(factor)
    rows, columns = (_folding(size, times) for size, times in zip(w.shape[:2], factor, strict=True))
    folded = jnp.einsum("pak,qbl,klcf->abcpqf", rows.astype(w.dtype), columns.astype(w.dtype), w)
    y = conv(x, folded.reshape(*folded.shape[:3], -1))  # (B, H, W, factor^2 * F)
    batch, height, width, _ = y.shape
    y = y.reshape(batch, height, width, *factor, -1).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, height * factor[0], width * factor[1], -1)


def _folding(size: int, factor: int) -> np.ndarray:
    """Returns the assignment of kernel elements to pixels: (factor, m, size) of 0 and 1, m odd.

    For output factor * a + p, element k falls on the repeated pixel factor * a + p + k - (size - 1) // 2.
    """
    position, element = np.arange(factor)[:, None], np.arange(size)
    pixel = (position + element - (size - 1) // 2) // factor  # (factor, size), relative to a
    reach = np.abs(pixel).max()
    return pixel[:, None] == np.arange(-reach, reach + 1)[:, None]


def _pair(value: int | _Pair) -> _Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _output_and_low(padding: str, size: int, kernel: int, stride: int) -> _Pair:
    """Returns the output size and the number of zeros before the first element, along one axis."""
    if padding == "VALID":
        return (size - kernel) // stride + 1, 0
    output = -(-size // stride)
    return output, max((output - 1) * stride + kernel - size, 0) // 2


def _lax_forward(geometry: _Geometry, x: jax.Array, w: jax.Array) -> jax.Array:
    padding = [(low, max((out - 1) * s + k - size - low, 0)) for size, out, k, s, low in zip(*geometry, strict=True)]
    return lax.conv_general_dilated(x, w, geometry.stride, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _lax_input_gradient(geometry: _Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    x = jax.ShapeDtypeStruct((g.shape[0], *geometry.input, w.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: _lax_forward(geometry, x, w), x)(g)[0]


def _lax_kernel_gradient(geometry: _Geometry, x: jax.Array, g: jax.Array) -> jax.Array:
    w = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[3], g.shape[3]), g.dtype)
    return jax.linear_transpose(lambda w: _lax_forward(geometry, x, w), w)(g)[0]


def _patches(geometry: _Geometry, x: jax.Array) -> jax.Array:
    """Returns the window of every output: (B, H, W, C) -> (B * H' * W', kh * kw * C)."""
    batch, _, _, channels = x.shape
    (oh, ow), (kh, kw), (sh, sw) = geometry.output, geometry.kernel, geometry.stride
    # The high padding is negative where no window covers the last rows or columns.
    pads = [(low, (out - 1) * s + k - size - low, 0) for size, out, k, s, low in zip(*geometry, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
    taps = [
        lax.slice(x, (0, i, j, 0), (batch, i + (oh - 1) * sh + 1, j + (ow - 1) * sw + 1, channels), (1, sh, sw, 1))
        for i in range(kh)
        for j in range(kw)
    ]
    return jnp.concatenate(taps, -1).reshape(batch * oh * ow, -1)


def _row_patches(geometry: _Geometry, x: jax.Array) -> jax.Array:
    """Returns the part of each row under each output column: (B, h, W, C) -> (B, h, W', kw * C)."""
    one_row = geometry._replace(input=(1, x.shape[2]), output=(1, geometry.output[1]), kernel=(1, geometry.kernel[1]))
    one_row = one_row._replace(stride=(1, geometry.stride[1]), low=(0, geometry.low[1]))
    return _patches(one_row, x.reshape(-1, 1, *x.shape[2:])).reshape(*x.shape[:2], geometry.output[1], -1)


def _taps(kernel: int, stride: int, low: int, residue: int) -> list[_Pair]:
    """Returns (k, shift) of the kernel elements k that connect output a + shift with input stride * a + residue."""
    offset = residue + low
    return [(k, (offset - k) // stride) for k in range(kernel) if (offset - k) % stride == 0]


class _Rows(NamedTuple):
    """Input rows of one residue modulo the vertical stride, and the kernel rows that touch them."""

    residue: int
    count: int
    taps: list[_Pair]  # (i, shift): kernel row i connects output row a + shift with row a of these

    def of(self, geometry: _Geometry, x: jax.Array) -> jax.Array:
        """Returns these rows of x: (B, H, W, C) -> (B, count, W, C), zeros beyond the image."""
        stride, (height, _) = geometry.stride[0], geometry.input
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, self.count * stride - height, 0), (0, 0, 0), (0, 0, 0)])
        return x[:, self.residue :: stride]

    def kernel(self, w: jax.Array) -> jax.Array:
        """Returns the kernel rows as a matrix: (kh, kw, C, F) -> (kw * C, taps * F)."""
        part = jnp.stack([w[i] for i, _ in self.taps], 2)  # (kw, C, taps, F)
        return part.reshape(w.shape[1] * w.shape[2], -1)

    def outputs(self, g: jax.Array) -> jax.Array:
        """Returns the output rows connected with each row, tap by tap: (B, H', W', F) -> (B, count, W', taps * F)."""
        return jnp.concatenate([_shift(g, -shift, self.count) for _, shift in self.taps], -1)


def _shift(x: jax.Array, by: int, size: int) -> jax.Array:
    """Shifts rows down by `by`, cropped or zero-padded to `size` rows: (B, h, W, C) -> (B, size, W, C)."""
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (by, size - x.shape[1] - by, 0), (0, 0, 0), (0, 0, 0)])


def _row_groups(geometry: _Geometry) -> list[_Rows]:
    (kh, _), (sh, _) = geometry.kernel, geometry.stride
    count = -(-geometry.input[0] // sh)
    return [_Rows(residue, count, _taps(kh, sh, geometry.low[0], residue)) for residue in range(sh)]


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns a @ b in at least float32, for the sums that follow."""
    return jnp.matmul(a, b, preferred_element_type=jnp.promote_types(a.dtype, jnp.float32))


def _splits(geometry: _Geometry, channels: int, features: int) -> bool:
    """True if unfolding kernel columns on the input and kernel rows on the output moves less memory than whole windows.

    A product of whole windows moves kh * kw * channels numbers per output, most of them repetitions. Unfolding
    horizontally on the input and vertically on the output moves fewer, with the same multiplications: 1.1 to 3 times
    faster with the 5x5 kernels of the book's GANs.
    """
    (kh, kw), (sh, _) = geometry.kernel, geometry.stride
    return kh >= sh and sh * kw * channels + kh * features < kh * kw * channels


def _chunked(geometry: _Geometry, channels: int, features: int, *arrays: jax.Array) -> tuple[jax.Array, ...] | None:
    """Returns the arrays as (chunks, 8, ...) where the patches of the whole batch would not fit into a cache.

    None where chunks gain nothing, below 32 MB of float32 patches, or where 8 does not divide the batch.
    """
    batch = arrays[0].shape[0]
    (kh, kw), (sh, _) = geometry.kernel, geometry.stride
    split = _splits(geometry, channels, features)
    numbers = sh * kw * channels + kh * features if split else kh * kw * channels
    if batch * math.prod(geometry.output) * numbers <= LAID_OUT_AT_ONCE or batch % 8:
        return None
    return tuple(a.reshape(batch // 8, 8, *a.shape[1:]) for a in arrays)


def _cpu_forward(geometry: _Geometry, x: jax.Array, w: jax.Array) -> jax.Array:
    channels, features = w.shape[2:]
    oh, ow = geometry.output

    def whole(x: jax.Array) -> jax.Array:
        y = _product(_patches(geometry, x), w.reshape(-1, features)).astype(x.dtype)
        return y.reshape(x.shape[0], oh, ow, features)

    def split(x: jax.Array) -> jax.Array:
        y = 0.0
        for rows in _row_groups(geometry):
            passed = _product(_row_patches(geometry, rows.of(geometry, x)), rows.kernel(w))  # (B, h, W', taps * F)
            for k, (_, shift) in enumerate(rows.taps):
                y += _shift(passed[..., k * features : (k + 1) * features], shift, oh)
        return y.astype(x.dtype)

    forward = split if _splits(geometry, channels, features) else whole
    chunks = _chunked(geometry, channels, features, x)
    if chunks is None:
        return forward(x)
    return lax.map(forward, *chunks).reshape(x.shape[0], oh, ow, features)


def _cpu_kernel_gradient(geometry: _Geometry, x: jax.Array, g: jax.Array) -> jax.Array:
    channels, features = x.shape[3], g.shape[3]
    kh, kw = geometry.kernel

    def whole(x: jax.Array, g: jax.Array) -> jax.Array:
        return _product(_patches(geometry, x).T, g.reshape(-1, features)).reshape(kh, kw, channels, features)

    def split(x: jax.Array, g: jax.Array) -> jax.Array:
        parts = {}
        for rows in _row_groups(geometry):
            pieces = _row_patches(geometry, rows.of(geometry, x)).reshape(-1, kw * channels)
            reached = rows.outputs(g)
            part = _product(pieces.T, reached.reshape(pieces.shape[0], -1)).reshape(kw, channels, -1, features)
            parts |= {i: part[:, :, k] for k, (i, _) in enumerate(rows.taps)}
        return jnp.stack([parts[i] for i in range(kh)])

    gradient = split if _splits(geometry, channels, features) else whole
    chunks = _chunked(geometry, channels, features, x, g)
    if chunks is None:
        w = gradient(x, g)
    else:
        xs, gs = chunks
        w, _ = lax.scan(lambda w, chunk: (w + gradient(*chunk), None), gradient(xs[0], gs[0]), (xs[1:], gs[1:]))
    return w.astype(x.dtype)


def _cpu_input_gradient(geometry: _Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    channels, features = w.shape[2:]
    kh, kw = geometry.kernel
    _, ow = geometry.output
    (sh, sw), (low_h, low_w) = geometry.stride, geometry.low
    height, width = (-(-size // s) for size, s in zip(geometry.input, geometry.stride, strict=True))

    def spread_columns(parts: jax.Array) -> jax.Array:
        """Sums the gradients of a row's columns, residue by residue: (B, h, W', kw, C) -> (B, h, W, C)."""

        def residue(q: int) -> jax.Array:
            total = jnp.zeros((*parts.shape[:2], width, channels), parts.dtype)
            for j, shift in _taps(kw, sw, low_w, q):
                pads = [(0, 0, 0), (0, 0, 0), (-shift, width - ow + shift, 0), (0, 0, 0)]
                total += lax.pad(parts[:, :, :, j], jnp.zeros((), parts.dtype), pads)
            return total

        x = jnp.stack([residue(q) for q in range(sw)], 3)  # (B, h, width, sw, C)
        return x.reshape(*parts.shape[:2], width * sw, channels)[:, :, : geometry.input[1]]

    def whole(g: jax.Array) -> list[jax.Array]:
        parts = _product(g.reshape(-1, features), w.reshape(-1, features).T).reshape(*g.shape[:3], kh, kw, channels)

        def residue(r: int) -> jax.Array:
            total = jnp.zeros((g.shape[0], height, ow, kw, channels), parts.dtype)
            for i, shift in _taps(kh, sh, low_h, r):
                pads = [(0, 0, 0), (-shift, height - geometry.output[0] + shift, 0), *[(0, 0, 0)] * 3]
                total += lax.pad(parts[:, :, :, i], jnp.zeros((), parts.dtype), pads)
            return spread_columns(total)

        return [residue(r) for r in range(sh)]

    def split(g: jax.Array) -> list[jax.Array]:
        def residue(rows: _Rows) -> jax.Array:
            parts = _product(rows.outputs(g), rows.kernel(w).T)  # (B, height, W', kw * C)
            return spread_columns(parts.reshape(*parts.shape[:3], kw, channels))

        return [residue(rows) for rows in _row_groups(geometry)]

    def gradient(g: jax.Array) -> jax.Array:
        rows = split(g) if _splits(geometry, channels, features) else whole(g)
        x = jnp.stack(rows, 2).reshape(g.shape[0], height * sh, -1, channels)
        return x[:, : geometry.input[0]].astype(g.dtype)

    chunks = _chunked(geometry, channels, features, g)
    if chunks is None:
        return gradient(g)
    return lax.map(gradient, *chunks).reshape(g.shape[0], *geometry.input, channels)


def _per_platform(geometry: _Geometry, on_cpu: _Bilinear, elsewhere: _Bilinear, *operands: jax.Array) -> jax.Array:
    return lax.platform_dependent(*operands, cpu=partial(on_cpu, geometry), default=partial(elsewhere, geometry))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _forward(geometry: _Geometry, x: jax.Array, w: jax.Array) -> jax.Array:
    """Returns the convolution: (B, H, W, C), (kh, kw, C, F) -> (B, H', W', F)."""
    return _per_platform(geometry, _cpu_forward, _lax_forward, x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(geometry: _Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    """Returns its gradient for x: (B, H', W', F), (kh, kw, C, F) -> (B, H, W, C)."""
    return _per_platform(geometry, _cpu_input_gradient, _lax_input_gradient, g, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(geometry: _Geometry, x: jax.Array, g: jax.Array) -> jax.Array:
    """Returns its gradient for w: (B, H, W, C), (B, H', W', F) -> (kh, kw, C, F)."""
    return _per_platform(geometry, _cpu_kernel_gradient, _lax_kernel_gradient, x, g)


_forward.defvjp(
    lambda geometry, x, w: (_forward(geometry, x, w), (x, w)),
    lambda geometry, saved, y: (_input_gradient(geometry, y, saved[1]), _kernel_gradient(geometry, saved[0], y)),
)
_input_gradient.defvjp(
    lambda geometry, g, w: (_input_gradient(geometry, g, w), (g, w)),
    lambda geometry, saved, x: (_forward(geometry, x, saved[1]), _kernel_gradient(geometry, x, saved[0])),
)
_kernel_gradient.defvjp(
    lambda geometry, x, g: (_kernel_gradient(geometry, x, g), (x, g)),
    lambda geometry, saved, w: (_input_gradient(geometry, saved[1], w), _forward(geometry, saved[0], w)),
)
