"""An environment that a network dreams (Ha & Schmidhuber 2018; book chapter 8), with gymnax's interface.

Its parameters hold the network's weights. A state is a latent vector and the network's carry; nothing is ever decoded,
except by who wants pictures: a frame is the decoder's of `state.z`.

`Dream.advance` is all of a step but the observation. It is one dream's, and pure; under vmap with the parameters left
unbatched, many dreams share one matrix product. It never resets; nor does gymnax's `step_env`, but its `step` does so
at every step, whether the episode ends or not.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

# (variables, key, z, action, reward, carry, temperature) -> next z, its reward (0.0 or 1.0), done logit, carry
Transition = Callable[..., tuple[jax.Array, jax.Array, jax.Array, Any]]


@struct.dataclass(kw_only=True)
class EnvParams(environment.EnvParams):
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
class EnvState(environment.EnvState):
    """A moment of a dream.

    Attributes:
      time: steps so far.
      z: (z_dim,), what would be seen.
      carry: of the network: hidden state and cell state, each (hidden_units,).
      reward: 0.0 or 1.0, what came with z.
      done: whether the dream has ended; it goes on, but without rewards.
    """

    z: jax.Array
    carry: tuple[jax.Array, jax.Array]
    reward: jax.Array
    done: jax.Array


class Dream(environment.Environment):
    """A world model's dream. An observation is z and the hidden state, (z_dim + hidden_units,).

    Args:
      transition: one step of the network, such as `gdl_jax.models.mdn_rnn.transition` makes.
      z_dim: dimensions of the latent space.
      hidden_units: of the network's hidden and cell state.
      action_low, action_high: bounds of each number of an action; the defaults are those of the racing car.
      observe_cell: append the cell state to observations, as the paper does for Doom.
      can_end: end a dream where the network thinks that more likely than not; without, only time ends it.
    """

    def __init__(
        self,
        transition: Transition,
        z_dim: int,
        hidden_units: int,
        *,
        action_low: Sequence[float] = (-1.0, 0.0, 0.0),
        action_high: Sequence[float] = (1.0, 1.0, 1.0),
        observe_cell: bool = False,
        can_end: bool = False,
    ):
        self.transition = transition
        self.z_dim, self.hidden_units = z_dim, hidden_units
        self.action_low, self.action_high = action_low, action_high
        self.observe_cell, self.can_end = observe_cell, can_end

    @property
    def default_params(self) -> EnvParams:
        raise ValueError("a dream has no default parameters: give it EnvParams with the network's variables")

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

    def step_env(self, key, state: EnvState, action, params: EnvParams):
        """(observation, state, reward, terminated, {}); see `advance`."""
        state = self.advance(params, state, action, key)
        return self.get_obs(state), state, state.reward, self.is_terminated(state, params), {}

    def reset_env(self, key, params: EnvParams):
        """(observation, state); see `begin`."""
        state = self.begin(params, key)
        return self.get_obs(state), state

    def get_obs(self, state: EnvState, params: EnvParams | None = None, key=None) -> jax.Array:
        """z, the hidden state, and perhaps the cell state: (z_dim + hidden_units (+ hidden_units),)."""
        return jnp.concatenate([state.z, *(state.carry if self.observe_cell else state.carry[:1])])

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Whether the network ended the dream."""
        return state.done

    @property
    def num_actions(self) -> int:
        """Numbers in an action."""
        return len(self.action_low)

    def action_space(self, params: EnvParams | None = None) -> spaces.Box:
        """The box of allowed actions, (action_dim,)."""
        return spaces.Box(jnp.array(self.action_low), jnp.array(self.action_high), (self.num_actions,))

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """Unbounded, (z_dim + hidden_units (+ hidden_units),)."""
        size = self.z_dim + self.hidden_units * (2 if self.observe_cell else 1)
        return spaces.Box(-jnp.inf, jnp.inf, (size,))
