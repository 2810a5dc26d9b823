"""Convolutions with kernels that are not trained, such as those of a pretrained network that a loss looks through.

The gradient for the input of a 3x3 convolution with stride 1 is a convolution of the same kind, with the kernel turned
by 180 degrees. In that form XLA:CPU runs it fast inside loops, too, and compiles it in a fifth of the time that
`nn.conv`, which also has the gradient for the kernel, takes.
"""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_vjp
def frozen_conv(x: jax.Array, w: jax.Array) -> jax.Array:
    """Returns the 2-D cross-correlation of x with w, zero-padded to the size of x; its gradient for w is zero.

    Args:
      x: (B, H, W, C).
      w: (kh, kw, C, F), of x's dtype; kh and kw odd.

    Returns:
      (B, H, W, F).
    """
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _backward(w: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    turned, g = lax.optimization_barrier((w, g))  # else XLA would turn constant kernels while compiling, for minutes
    return frozen_conv(g, turned[::-1, ::-1].swapaxes(2, 3)), jnp.zeros_like(w)


frozen_conv.defvjp(lambda x, w: (frozen_conv(x, w), w), _backward)
