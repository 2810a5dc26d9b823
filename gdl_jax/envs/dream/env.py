"""A world model's dream with gymnax's interface; the environment's parameters hold the network's weights.

Use `step_env`, which never resets; gymnax's `step` computes a reset at every step, whether the episode ends or not.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gdl_jax.core.extras import extra
from gdl_jax.envs.dream.dynamics import Dream, EnvParams, EnvState

with extra("worlds"):
    from gymnax.environments import environment, spaces


class DreamEnv(environment.Environment[EnvState, EnvParams]):
    """Environment of a world model's dream. Observations are z and the hidden state, (z_dim + hidden_units,).

    Args:
      dream: its dynamics.
      action_low, action_high: bounds of each dimension of an action; the defaults are CarRacing's.
      observe_cell: whether observations include the cell state, as in the paper's Doom experiment.
    """

    def __init__(
        self,
        dream: Dream,
        *,
        action_low: Sequence[float] = (-1.0, 0.0, 0.0),
        action_high: Sequence[float] = (1.0, 1.0, 1.0),
        observe_cell: bool = False,
    ):
        self.dream = dream
        self.action_low, self.action_high = action_low, action_high
        self.observe_cell = observe_cell

    @property
    def default_params(self) -> EnvParams:
        raise ValueError("a dream has no default parameters: pass EnvParams with the network's variables")

    def step_env(self, key, state: EnvState, action, params: EnvParams):
        """Returns (observation, state, reward, terminated, {}); see `Dream.advance`."""
        state = self.dream.advance(params, state, action, key)
        return self.get_obs(state), state, state.reward, self.is_terminated(state, params), {}

    def reset_env(self, key, params: EnvParams):
        """Returns (observation, state); see `Dream.begin`."""
        state = self.dream.begin(params, key)
        return self.get_obs(state), state

    def get_obs(self, state: EnvState, params: EnvParams | None = None, key=None) -> jax.Array:
        """Returns z, the hidden state and, if observed, the cell state: (z_dim + hidden_units (+ hidden_units),)."""
        return jnp.concatenate([state.z, *(state.carry if self.observe_cell else state.carry[:1])])

    def is_terminated(self, state: EnvState, params: EnvParams) -> jax.Array:
        """Returns True if the network has ended the dream."""
        return state.done

    @property
    def num_actions(self) -> int:
        """Dimensions of an action."""
        return len(self.action_low)

    def action_space(self, params: EnvParams | None = None) -> spaces.Box:
        """Returns the box of allowed actions, (action_dim,)."""
        return spaces.Box(jnp.array(self.action_low), jnp.array(self.action_high), (self.num_actions,))

    def observation_space(self, params: EnvParams | None = None) -> spaces.Box:
        """Returns an unbounded box, (z_dim + hidden_units (+ hidden_units),)."""
        size = self.dream.z_dim + self.dream.hidden_units * (2 if self.observe_cell else 1)
        return spaces.Box(-jnp.inf, jnp.inf, (size,))
