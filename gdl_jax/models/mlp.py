"""The book's multilayer perceptron (02_01): flatten, dense layers with ReLU, one logit per class."""

from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast
from gdl_jax.nn.layers import Dense


@dataclass(frozen=True, kw_only=True)
class Config:
    hidden_units: Annotated[tuple[int, ...], AtLeast(1)] = (200, 150)  # units of the MLP's hidden layers (book 02_01)


class MLP(nn.Module):
    """Multilayer perceptron, (B, H, W, C) -> logits (B, outputs)."""

    config: Config
    outputs: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        del train
        chex.assert_rank(x, 4)
        x = x.reshape(x.shape[0], -1)
        for units in self.config.hidden_units:
            x = nn.relu(Dense(units, dtype=self.dtype)(x))
        self.sow("intermediates", "features", x)  # (B, units), for FID and similar metrics
        return Dense(self.outputs, dtype=self.dtype)(x).astype(jnp.float32)
