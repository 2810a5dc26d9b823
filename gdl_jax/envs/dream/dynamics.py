"""Dynamics of a world model's dream (Ha & Schmidhuber 2018; book chapter 8): pure functions of a network's weights.

A state is a latent vector and the network's carry. Nothing is decoded; for pictures, decode `state.z`. Under vmap with
unbatched parameters, many dreams share one matrix product.
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
    """Parameters of dreams.

    Attributes:
      variables: of the network, as `transition` takes them.
      initial_mean, initial_log_var: (N, z_dim), encodings of first frames of episodes; a dream's first z is sampled
        from one of them.
      temperature: of sampling, above 0; 1 samples from the predicted distribution itself.
      max_steps_in_episode: after which a dream is truncated.
    """

    variables: Any
    initial_mean: jax.Array
    initial_log_var: jax.Array
    temperature: jax.Array | float = 1.0
    max_steps_in_episode: int = 1000


@struct.dataclass
class EnvState:
    """State of a dream.

    Attributes:
      time: () int32, steps so far.
      z: (z_dim,), latent code of the current frame.
      carry: of the network: hidden state and cell state, each (hidden_units,).
      reward: 0.0 or 1.0, predicted together with z.
      done: () bool, True once the dream has ended; later steps have no reward.
    """

    time: jax.Array
    z: jax.Array
    carry: tuple[jax.Array, jax.Array]
    reward: jax.Array
    done: jax.Array


@dataclass(frozen=True)
class Dream:
    """The dream of a world model.

    Attributes:
      transition: one step of the network, as made by `gdl_jax.models.mdn_rnn.transition`.
      z_dim: dimensions of the latent space.
      hidden_units: size of the network's hidden and cell state.
      can_end: whether a dream ends when the network predicts the end of the episode with a probability above 0.5;
        otherwise it is only truncated.
    """

    transition: Transition
    z_dim: int
    hidden_units: int
    can_end: bool = False

    def begin(self, params: EnvParams, key: jax.Array) -> EnvState:
        """Returns the initial state: z sampled from a random initial encoding, a zero carry, no reward."""
        which_key, noise_key = jax.random.split(key)
        row = jax.random.randint(which_key, (), 0, params.initial_mean.shape[0])
        mean, log_var = jnp.asarray(params.initial_mean)[row], jnp.asarray(params.initial_log_var)[row]
        z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(noise_key, (self.z_dim,))
        zeros = jnp.zeros(self.hidden_units)
        return EnvState(time=jnp.int32(0), z=z, carry=(zeros, zeros), reward=jnp.float32(0), done=jnp.bool_(False))

    def advance(self, params: EnvParams, state: EnvState, action: jax.Array, key: jax.Array) -> EnvState:
        """Returns the state after an action (action_dim,).

        Its `reward` is the reward of the action, 1 or 0; it is 0 after the step that ended the dream.
        """
        z, earned, done_logit, carry = self.transition(
            params.variables, key, state.z, action, state.reward, state.carry, params.temperature
        )
        reward = jnp.where(state.done, 0.0, earned)
        done = state.done | (done_logit > 0) if self.can_end else state.done
        return EnvState(time=state.time + 1, z=z, carry=carry, reward=reward, done=done)
