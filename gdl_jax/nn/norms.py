"""Normalisation of image features by name, and reflection padding, for networks that translate images.

Names: `instance` (Ulyanov et al. 2016, without scale and bias, as in CycleGAN), `affine_instance` (with both),
`batch` (PyTorch's momentum and epsilon), `none`.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.nn.layers import BatchNorm

NORMS = ("instance", "affine_instance", "batch", "none")
EPSILON = 1e-5  # PyTorch's


class InstanceNorm(nn.Module):
    """Instance normalisation over height and width: (B, H, W, C) -> (B, H, W, C), (x - mean) / sqrt(var + epsilon).

    Statistics are float32 for every type of x. They are the same in training and evaluation.

    Attributes:
      affine: multiply by a scale and add a bias, one of each per channel.
      epsilon: added to the variance.
    """

    affine: bool = False
    epsilon: float = EPSILON

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        chex.assert_rank(x, 4)
        wide = x.astype(jnp.float32)
        mean = wide.mean((1, 2), keepdims=True)
        var = jnp.square(wide - mean).mean((1, 2), keepdims=True)
        y = (wide - mean) * lax.rsqrt(var + self.epsilon)
        if self.affine:
            shape = (x.shape[-1],)
            y = y * self.param("scale", nn.initializers.ones, shape) + self.param("bias", nn.initializers.zeros, shape)
        return y.astype(x.dtype)


def norm(name: str, train: bool, axis_name: str | None = None) -> Callable[[jax.Array], jax.Array]:
    """Returns the normalisation of that name, for use inside a compact method.

    Args:
      name: one of NORMS.
      train: use the batch's statistics in batch normalisation, instead of running averages.
      axis_name: the pmapped axis over which batch normalisation averages, or None.
    """
    if name == "none":
        return lambda x: x
    if name == "batch":
        layer = BatchNorm(momentum=0.9, epsilon=EPSILON, axis_name=axis_name)
        return lambda x: layer(x, use_running_average=not train)
    return InstanceNorm(affine={"instance": False, "affine_instance": True}[name])


def has_bias(name: str) -> bool:
    """True if a norm adds a bias, so that the convolution before it needs none."""
    return name in ("affine_instance", "batch")


def reflect_pad(x: jax.Array, width: int) -> jax.Array:
    """Pads height and width by reflection without repeating the edge: (B, H, W, C) -> (B, H + 2w, W + 2w, C)."""
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), mode="reflect")
