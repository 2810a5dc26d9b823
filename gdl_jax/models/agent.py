"""Agent of the world models: vision, memory and controller as one policy (Ha & Schmidhuber 2018; book chapter 8).

At each step it encodes a frame as z_t, chooses a_t from z_t and the memory's state, and feeds (z_t, a_t, r_t) to the
memory, with r_t = 1 if a reward came with the frame. These are also the memory's inputs in training (`models.mdn_rnn`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import struct

from gdl_jax.models.controller import Controller, driving_controls
from gdl_jax.models.mdn_rnn import MDNRNN
from gdl_jax.models.world_vae import WorldEncoder, encode_frames
from gdl_jax.nn.recurrent import LSTMCarry

# z (B, z_dim), hidden state and cell state (B, hidden_units) -> actions (B, action_dim) in [-1, 1]
Choice = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class Agent(NamedTuple):
    """Networks of an agent.

    Attributes:
      encoder: the vision, frame -> z.
      memory: the recurrent network.
      controller: z and the memory's state -> action.
      sampled: sample z from q(z | frame), as in the paper and the book; otherwise z is the mean.
    """

    encoder: WorldEncoder
    memory: MDNRNN
    controller: Controller
    sampled: bool = True


@struct.dataclass
class AgentParams:
    """Parameters of the vision and of the memory."""

    encoder: Any
    memory: Any


@struct.dataclass
class AgentState:
    """State of B agents before they see a frame.

    Attributes:
      carry: of the memory.
      reward: (B,), 1.0 where the previous step gave a reward, else 0.0.
    """

    carry: LSTMCarry
    reward: jax.Array


def initial_state(agent: Agent, batch_size: int) -> AgentState:
    """Returns the state at the beginning of an episode."""
    return AgentState(agent.memory.zero_carry(batch_size), jnp.zeros(batch_size))


def act(
    agent: Agent, params: AgentParams, choose: Choice, frames: jax.Array, noise: jax.Array, state: AgentState
) -> tuple[jax.Array, jax.Array, AgentState]:
    """Takes one step of B agents.

    Args:
      agent: the networks.
      params: of vision and memory, shared by all agents.
      choose: applies the agents' controllers.
      frames: (B, H, W, C) uint8.
      noise: (B, z_dim), N(0, 1); ignored if z is the mean.
      state: before the step.

    Returns:
      Steering in [-1, 1], gas and brake in [0, 1], (B, 3); z (B, z_dim); and the new state, to be completed with the
      step's reward by `observe_reward`.
    """
    mean, log_var = encode_frames(agent.encoder, params.encoder, frames)
    chex.assert_equal_shape([mean, noise])
    z = mean + jnp.exp(0.5 * log_var) * noise if agent.sampled else mean
    action = driving_controls(choose(z, *state.carry))
    variables = {"params": params.memory}
    _, _, carry = agent.memory.apply(variables, z[:, None], action[:, None], state.reward[:, None], state.carry)
    return action, z, state.replace(carry=carry)


def observe_reward(state: AgentState, reward: jax.Array) -> AgentState:
    """Stores whether the environment's reward (B,) is positive, as an input of the memory's next step."""
    return state.replace(reward=(reward > 0).astype(jnp.float32))
