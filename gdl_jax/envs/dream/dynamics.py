"""What happens in a dream (Ha & Schmidhuber 2018; book chapter 8): pure functions of a network's weights.

A state is a latent vector and the network's carry; nothing is ever decoded, except by who wants pictures: a frame is
the decoder's of `state.z`. Under vmap with the parameters left unbatched, many dreams share one matrix product.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

# (variables, key, z, action, reward, carry, temperature) -> next z, its reward (0.0 or 1.0), done logit, carry
Transition = Callable[..., tuple[jax.Array, jax.Array, jax.Array, Any]]


@struct.dataclass(kw_only=True)
class EnvParams:
    """What the network knows, where dreams begin, and how they go.

    Attributes:
      variables: of the network, as `transition` takes them.
      initial_mean, initial_log_var: (N, z_dim), encodings of the first frames of episodes. A dream begins in a draw
        from one of them.
      temperature: above 0: uncertainty of the dream; 1 is the network's own.
      max_steps_in_episode: where the dream is cut off.
    """

    variables: Any
    initial_mean: jax.Array
    initial_log_var: jax.Array
    temperature: jax.Array | float = 1.0
    max_steps_in_episode: int = 1000


@struct.dataclass
class EnvState:
    """A moment of a dream.

    Attributes:
      time: () int32, steps so far.
      z: (z_dim,), what would be seen.
      carry: of the network: hidden state and cell state, each (hidden_units,).
      reward: 0.0 or 1.0, what came with z.
      done: whether the dream has ended; it goes on, but without rewards.
    """

    time: jax.Array
    z: jax.Array
    carry: tuple[jax.Array, jax.Array]
    reward: jax.Array
    done: jax.Array


@dataclass(frozen=True)
class Dream:
    """A world model's dream.

    Attributes:
      transition: one step of the network, such as `gdl_jax.models.mdn_rnn.transition` makes.
      z_dim: dimensions of the latent space.
      hidden_units: of the network's hidden and cell state.
      can_end: a dream ends where the network thinks that more likely than not; without, only time ends it.
    """

    transition: Transition
    z_dim: int
    hidden_units: int
    can_end: bool = False

    def begin(self, params: EnvParams, key: jax.Array) -> EnvState:
        """A dream's first moment: z drawn from a random initial encoding, an empty memory, no reward."""
        which_key, noise_key = jax.random.split(key)
        row = jax.random.randint(which_key, (), 0, params.initial_mean.shape[0])
        mean, log_var = jnp.asarray(params.initial_mean)[row], jnp.asarray(params.initial_log_var)[row]
        z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(noise_key, (self.z_dim,))
        zeros = jnp.zeros(self.hidden_units)
        return EnvState(time=jnp.int32(0), z=z, carry=(zeros, zeros), reward=jnp.float32(0), done=jnp.bool_(False))

    def advance(self, params: EnvParams, state: EnvState, action: jax.Array, key: jax.Array) -> EnvState:
        """The moment after an action (action_dim,).

        Its `reward` is what the action earned, 1 or 0; and 0 after the step that ended the dream.
        """
        z, earned, done_logit, carry = self.transition(
            params.variables, key, state.z, action, state.reward, state.carry, params.temperature
        )
        reward = jnp.where(state.done, 0.0, earned)
        done = state.done | (done_logit > 0) if self.can_end else state.done
        return EnvState(time=state.time + 1, z=z, carry=carry, reward=reward, done=done)
