"""Convolutions with kernels that are not trained, such as those of a pretrained network that a loss looks through.

The gradient for the input of a 3x3 convolution with stride 1 is a convolution of the same kind, with the kernel turned
by 180 degrees. In that form XLA:CPU runs it fast inside loops, too, and compiles it in a fifth of the time that
`nn.conv`, which also has the gradient for the kernel, takes.

On CPU, large ones are computed by Winograd's minimal filtering F(2x2, 3x3) (Lavin & Gray 2016), with 16 multiplications
for 2x2 outputs in place of 36.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Lavin & Gray 2016, equation 10: transforms of 4x4 inputs, of 3x3 kernels and of 4x4 products, along one axis.
INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
LEAST_CHANNELS, LEAST_POSITIONS = 64, 2500  # below these the transforms take longer than they save


@jax.custom_vjp
def frozen_conv(x: jax.Array, w: jax.Array) -> jax.Array:
    """Returns the 2-D cross-correlation of x with w, zero-padded to the size of x; its gradient for w is zero.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype; kh and kw odd.

    Returns:
      (B, H, W, F).
    """
    if _suits_winograd(x.shape, w.shape):
        return lax.platform_dependent(x, w, cpu=_winograd, default=_direct)
    return _direct(x, w)


def _direct(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _backward(w: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    turned, g = lax.optimization_barrier((w, g))  # else XLA would turn constant kernels while compiling, for minutes
    return frozen_conv(g, turned[::-1, ::-1].swapaxes(2, 3)), jnp.zeros_like(w)


frozen_conv.defvjp(lambda x, w: (frozen_conv(x, w), w), _backward)


def _suits_winograd(input_shape: tuple[int, ...], kernel_shape: tuple[int, ...]) -> bool:
    _, height, width, channels = input_shape
    features = kernel_shape[3]
    large = min(channels, features) >= LEAST_CHANNELS and height * width >= LEAST_POSITIONS
    return kernel_shape[:2] == (3, 3) and large


def _combined(matrix: np.ndarray, parts: list[jax.Array]) -> list[jax.Array]:
    """Returns the matrix, of 0, 1 and -1, times a vector of arrays."""
    rows = []
    for row in matrix:
        terms = [part if sign > 0 else -part for sign, part in zip(row, parts, strict=True) if sign]
        rows.append(sum(terms[1:], terms[0]))
    return rows


def _winograd(x: jax.Array, w: jax.Array) -> jax.Array:
    batch, height, width, channels = x.shape
    features = w.shape[3]
    rows, columns = -(-height // 2), -(-width // 2)  # of 2x2 outputs
    x, w = lax.optimization_barrier((x, w))
    kernels = jnp.einsum("ai,ijcf,bj->abcf", KERNEL, w, KERNEL).reshape(16, channels, features)
    x = jnp.pad(x, ((0, 0), (1, 2 * rows + 1 - height), (1, 2 * columns + 1 - width), (0, 0)))
    slices = [x[:, i : i + 2 * rows - 1 : 2] for i in range(4)]  # row i of each tile
    tiles = [
        _combined(INPUT, [part[:, :, j : j + 2 * columns - 1 : 2] for j in range(4)])
        for part in _combined(INPUT, slices)
    ]
    products = [[tiles[i][j].reshape(-1, channels) @ kernels[4 * i + j] for j in range(4)] for i in range(4)]
    lines = [_combined(OUTPUT, [products[i][j] for i in range(4)]) for j in range(4)]  # [j][a], a: row of the output
    outputs = [_combined(OUTPUT, [line[a] for line in lines]) for a in range(2)]  # [a][b]
    y = jnp.stack([jnp.stack(pair, axis=1).reshape(batch, rows, 2 * columns, features) for pair in outputs], axis=2)
    return y.reshape(batch, 2 * rows, 2 * columns, features)[:, :height, :width]
