"""A picture as a network without inputs: its pixels are the parameters (Gatys et al. 2015)."""

import jax
from flax import linen as nn


class Picture(nn.Module):
    """Picture of given size: () -> (1, height, width, 3)."""

    height: int
    width: int

    @nn.compact
    def __call__(self, *, train: bool = False) -> jax.Array:
        del train
        return self.param("image", nn.initializers.zeros, (1, self.height, self.width, 3))
