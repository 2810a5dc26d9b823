"""Controller of the world models: one dense layer from the outputs of vision and memory to an action (book 08).

With the defaults it has (32 + 256) * 3 + 3 = 867 parameters, few enough for an evolution strategy. Their initial values
are zeros, the search's first mean (Ha & Schmidhuber 2018).
"""

from dataclasses import dataclass
from typing import Annotated

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.layers import Dense

INPUTS = {"z": ("z",), "z_h": ("z", "hidden"), "z_h_c": ("z", "hidden", "cell")}


@dataclass(frozen=True, kw_only=True)
class Config:
    # z: the latent vector only; z_h: also the LSTM's hidden state; z_h_c: also its cell state (for VizDoom)
    controller_inputs: Annotated[str, OneOf(*INPUTS)] = "z_h"
    action_dim: Annotated[int, AtLeast(1)] = 3  # dimensions of an action


class Controller(nn.Module):
    """Linear controller tanh(W x + b) with actions in (-1, 1); `controller_inputs` chooses x.

    Raises:
      ConfigError: on the first call, for unknown inputs or one that is None.
    """

    config: Config
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, z: jax.Array, hidden: jax.Array | None = None, cell: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """Returns actions (B, action_dim).

        Args:
          z: (B, z_dim), the latent vector of the frame.
          hidden, cell: (B, hidden_units) each, the LSTM's state after the previous frames; may be None if unused.
          train: ignored.
        """
        del train
        name = self.config.controller_inputs
        if name not in INPUTS:
            raise ConfigError("controller_inputs", name, f"unknown; choose one of {', '.join(INPUTS)}")
        arrays = {"z": z, "hidden": hidden, "cell": cell}
        inputs = [arrays[part] for part in INPUTS[name]]
        if any(array is None for array in inputs):
            raise ConfigError("controller_inputs", name, f"needs {', '.join(INPUTS[name])} of each frame")
        chex.assert_rank(inputs, 2)
        x = jnp.concatenate(inputs, axis=-1)  # (B, 288)
        zeros = nn.initializers.zeros
        x = Dense(self.config.action_dim, kernel_init=zeros, dtype=self.dtype, name="action")(x)  # (B, 3)
        return jnp.tanh(x.astype(jnp.float32))


def driving_controls(action: jax.Array) -> jax.Array:
    """Returns the car's steering in [-1, 1], gas and brake in [0, 1], from actions (..., 3) in [-1, 1].

    Gas and brake are (action + 1) / 2: a controller with parameters of zero drives straight at half gas and half brake.
    """
    chex.assert_axis_dimension(action, -1, 3)
    steering, pedals = action[..., :1], action[..., 1:]
    return jnp.concatenate([steering, (pedals + 1) / 2], axis=-1)


def controller_actions(controls: jax.Array) -> jax.Array:
    """Returns the actions (..., 3) in [-1, 1] of controls (..., 3): the inverse of `driving_controls`."""
    chex.assert_axis_dimension(controls, -1, 3)
    steering, pedals = controls[..., :1], controls[..., 1:]
    return jnp.concatenate([steering, 2 * pedals - 1], axis=-1)
