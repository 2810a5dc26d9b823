"""The world models' agent: vision, memory and controller as one policy (Ha & Schmidhuber 2018; book chapter 8).

At each step it sees a frame, z_t; chooses a_t by z_t and the memory's state; and remembers (z_t, a_t, r_t), r_t being
whether a reward came with the frame. So the memory sees at run time just what it saw in training (`models.mdn_rnn`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

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
    """Its parts.

    Attributes:
      encoder: what sees.
      memory: what remembers.
      controller: what chooses.
      sampled: whether z is drawn from q(z | frame), as in the paper and the book, rather than its mean.
    """

    encoder: WorldEncoder
    memory: MDNRNN
    controller: Controller
    sampled: bool = True


@struct.dataclass
class Knowledge:
    """What vision and memory have learnt: the parameters of their networks."""

    encoder: Any
    memory: Any


@struct.dataclass
class Mind:
    """What the agent has in mind before it sees a frame.

    Attributes:
      carry: of the memory.
      reward: (B,), 1.0 where the step before brought a reward, else 0.0.
    """

    carry: LSTMCarry
    reward: jax.Array


def empty_mind(agent: Agent, batch_size: int) -> Mind:
    """At the beginning of an episode."""
    return Mind(agent.memory.zero_carry(batch_size), jnp.zeros(batch_size))


def act(
    agent: Agent, knowledge: Knowledge, choose: Choice, frames: jax.Array, noise: jax.Array, mind: Mind
) -> tuple[jax.Array, jax.Array, Mind]:
    """One step of B agents.

    Args:
      knowledge: shared by all of them.
      choose: what their controllers do.
      frames: (B, H, W, C) uint8.
      noise: (B, z_dim), N(0, 1); not looked at if z is the mean.
      mind: before the step.

    Returns:
      Steering in [-1, 1], gas and brake in [0, 1], (B, 3); z (B, z_dim); and the mind, whose reward is still to be told
      (`told`).
    """
    mean, log_var = encode_frames(agent.encoder, knowledge.encoder, frames)
    z = mean + jnp.exp(0.5 * log_var) * noise if agent.sampled else mean
    action = driving_controls(choose(z, *mind.carry))
    variables = {"params": knowledge.memory}
    _, _, carry = agent.memory.apply(variables, z[:, None], action[:, None], mind.reward[:, None], mind.carry)
    return action, z, mind.replace(carry=carry)


def told(mind: Mind, reward: jax.Array) -> Mind:
    """The mind that knows the step's reward (B,), as the game gives it."""
    return mind.replace(reward=(reward > 0).astype(jnp.float32))
