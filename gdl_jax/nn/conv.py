"""Convolutions that stay fast on XLA:CPU, inside loops and under differentiation of any order.

XLA:CPU runs a convolution fast only when its operands arrive in NHWC/HWIO order. The gradients of
`lax.conv_general_dilated` don't, and the compiler pass that mends that outside loops doesn't act inside them: there a
training step is 20 times slower. On CPU the functions of this file are matrix products of patches instead.

A convolution is bilinear, so <conv(x, w), g> is linear in each of x, w and g, and the three functions `_forward`,
`_input_gradient` and `_kernel_gradient` are one another's derivatives: each is a `custom_vjp` in terms of the other
two, to any order. On platforms other than CPU each of them is lax's own.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_Pair = tuple[int, int]
_Bilinear = Callable[["_Geometry", jax.Array, jax.Array], jax.Array]


class _Geometry(NamedTuple):
    """The static side of a convolution; every field is (vertical, horizontal)."""

    input: _Pair  # height and width of x
    output: _Pair  # height and width of y
    kernel: _Pair
    stride: _Pair
    low: _Pair  # zeros above and to the left of x


def conv(x: jax.Array, w: jax.Array, stride: int | _Pair = 1, padding: str = "SAME") -> jax.Array:
    """2-D cross-correlation.

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
    """Transposed 2-D convolution: the gradient of `conv` with respect to its input, aligned as in TensorFlow.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype. The convolution whose gradient this is has the kernel w.swapaxes(2, 3).
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


def _pair(value: int | _Pair) -> _Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _output_and_low(padding: str, size: int, kernel: int, stride: int) -> _Pair:
    """Output size, and zeros before the first element, along one axis."""
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
    """The window under every output: (B, H, W, C) -> (B * H' * W', kh * kw * C)."""
    batch, _, _, channels = x.shape
    (oh, ow), (kh, kw), (sh, sw) = geometry.output, geometry.kernel, geometry.stride
    # The high padding is negative where the last rows and columns lie under no window.
    pads = [(low, (out - 1) * s + k - size - low, 0) for size, out, k, s, low in zip(*geometry, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
    taps = [
        lax.slice(x, (0, i, j, 0), (batch, i + (oh - 1) * sh + 1, j + (ow - 1) * sw + 1, channels), (1, sh, sw, 1))
        for i in range(kh)
        for j in range(kw)
    ]
    return jnp.concatenate(taps, -1).reshape(batch * oh * ow, -1)


def _chunks(geometry: _Geometry, channels: int, *arrays: jax.Array) -> tuple[jax.Array, ...] | None:
    """The arrays cut along the batch into (chunks, 8, ...) where all patches at once are too large for a cache.

    On the CNN of the book's 02_03 at batch 256 this saves 10 to 13 % of the CPU time; at batch 32 it gains nothing, so
    below 16 MB of float32 patches (there at most 9 MB, at batch 256 at least 28 MB) the answer is None.
    """
    batch = arrays[0].shape[0]
    patch_elements = batch * math.prod(geometry.output) * math.prod(geometry.kernel) * channels
    if patch_elements <= 2**22 or batch % 8:
        return None
    return tuple(a.reshape(batch // 8, 8, *a.shape[1:]) for a in arrays)


def _cpu_forward(geometry: _Geometry, x: jax.Array, w: jax.Array) -> jax.Array:
    def forward(x: jax.Array) -> jax.Array:
        return (_patches(geometry, x) @ w.reshape(-1, w.shape[3])).reshape(x.shape[0], *geometry.output, -1)

    chunks = _chunks(geometry, x.shape[3], x)
    if chunks is None:
        return forward(x)
    return lax.map(forward, *chunks).reshape(x.shape[0], *geometry.output, -1)


def _cpu_kernel_gradient(geometry: _Geometry, x: jax.Array, g: jax.Array) -> jax.Array:
    wide = jnp.promote_types(x.dtype, jnp.float32)  # chunks are added up in at least float32

    def gradient(x: jax.Array, g: jax.Array) -> jax.Array:
        return jnp.matmul(_patches(geometry, x).T, g.reshape(-1, g.shape[3]), preferred_element_type=wide)

    chunks = _chunks(geometry, x.shape[3], x, g)
    if chunks is None:
        w = gradient(x, g)
    else:
        xs, gs = chunks
        w, _ = lax.scan(lambda w, chunk: (w + gradient(*chunk), None), gradient(xs[0], gs[0]), (xs[1:], gs[1:]))
    return w.reshape(*geometry.kernel, x.shape[3], -1).astype(x.dtype)


def _taps(kernel: int, stride: int, low: int, residue: int) -> list[_Pair]:
    """(k, shift) of the kernel elements k through which output a + shift reaches input stride * a + residue."""
    offset = residue + low
    return [(k, (offset - k) // stride) for k in range(kernel) if (offset - k) % stride == 0]


def _cpu_input_gradient(geometry: _Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    chunks = _chunks(geometry, w.shape[2], g)
    if chunks is None:
        return _spread(geometry, g, w)
    x = lax.map(lambda g: _spread(geometry, g, w), *chunks)
    return x.reshape(g.shape[0], *x.shape[2:])


def _spread(geometry: _Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    """One product gives what every output passes back through every kernel element; the rest adds that up.

    The inputs of one residue modulo the stride are added up together, and then interleaved with the other residues:
    no multiplication by the zeros between strides.
    """
    batch, oh, ow, features = g.shape
    kh, kw, channels, _ = w.shape
    (sh, sw), (low_h, low_w) = geometry.stride, geometry.low
    height, width = (-(-size // s) for size, s in zip(geometry.input, geometry.stride, strict=True))
    parts = (g.reshape(-1, features) @ w.reshape(-1, features).T).reshape(batch, oh, ow, kh, kw, channels)
    zero = jnp.zeros((), g.dtype)

    def residue(r: int, q: int) -> jax.Array:
        total = jnp.zeros((batch, height, width, channels), g.dtype)
        for i, t in _taps(kh, sh, low_h, r):
            for j, u in _taps(kw, sw, low_w, q):
                pads = [(0, 0, 0), (-t, height - oh + t, 0), (-u, width - ow + u, 0), (0, 0, 0)]
                total += lax.pad(parts[:, :, :, i, j], zero, pads)
        return total

    x = jnp.stack([jnp.stack([residue(r, q) for q in range(sw)], 3) for r in range(sh)], 2)  # (B, h, sh, w, sw, C)
    x = x.reshape(batch, height * sh, width * sw, channels)
    return x[:, : geometry.input[0], : geometry.input[1]]


def _per_platform(geometry: _Geometry, on_cpu: _Bilinear, elsewhere: _Bilinear, *operands: jax.Array) -> jax.Array:
    return lax.platform_dependent(*operands, cpu=partial(on_cpu, geometry), default=partial(elsewhere, geometry))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _forward(geometry: _Geometry, x: jax.Array, w: jax.Array) -> jax.Array:
    """(B, H, W, C), (kh, kw, C, F) -> (B, H', W', F)."""
    return _per_platform(geometry, _cpu_forward, _lax_forward, x, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _input_gradient(geometry: _Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    """(B, H', W', F), (kh, kw, C, F) -> (B, H, W, C)."""
    return _per_platform(geometry, _cpu_input_gradient, _lax_input_gradient, g, w)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(geometry: _Geometry, x: jax.Array, g: jax.Array) -> jax.Array:
    """(B, H, W, C), (B, H', W', F) -> (kh, kw, C, F)."""
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
