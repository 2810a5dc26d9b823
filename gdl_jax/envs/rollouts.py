"""Rollouts of a policy in an environment, as one pure function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# (state, action, key) -> state, reward (), terminated (), truncated (), info
Step = Callable[[Any, Any, jax.Array], tuple[Any, jax.Array, jax.Array, jax.Array, Any]]
# (memory, state, key) -> memory, action; the memory is any state of the policy
Policy = Callable[[Any, Any, jax.Array], tuple[Any, Any]]
# (state, action, reward, next state) -> record of a step
Record = Callable[[Any, Any, jax.Array, Any], Any]


class Rollout(NamedTuple):
    """One episode.

    Attributes:
      returned: (), the sum of rewards.
      length: () int32, steps until the episode was terminated or truncated, including the last one.
      terminated: () bool, False if the episode was truncated.
      state, memory: of the environment and of the policy, after the last of these steps.
      records: records of all steps, stacked (steps, ...). Rows from `length` on repeat the step that would follow, with
        reward 0. None without `record`.
    """

    returned: jax.Array
    length: jax.Array
    terminated: jax.Array
    state: Any
    memory: Any
    records: Any


def rollout(
    step: Step, policy: Policy, state: Any, memory: Any, key: jax.Array, steps: int, record: Record | None = None
) -> Rollout:
    """Runs a policy for `steps` steps; after the end of the episode, the state is frozen and rewards are 0.

    It runs one episode: use vmap over keys, states, or parameters of the policy. The environment is never reset.
    """

    def advance(episode, key):
        state, memory, returned, length, ended, over = episode
        policy_key, step_key = jax.random.split(key)
        next_memory, action = policy(memory, state, policy_key)
        next_state, reward, terminated, truncated, _ = step(state, action, step_key)
        reward = jnp.where(over, 0.0, reward)
        kept = None if record is None else record(state, action, reward, next_state)
        state, memory = jax.tree.map(
            lambda old, new: jnp.where(over, old, new), (state, memory), (next_state, next_memory)
        )
        ended = ended | (terminated & ~over)
        return (state, memory, returned + reward, length + ~over, ended, over | terminated | truncated), kept

    start = (state, memory, jnp.float32(0), jnp.int32(0), jnp.bool_(False), jnp.bool_(False))
    (state, memory, returned, length, ended, _), records = jax.lax.scan(advance, start, jax.random.split(key, steps))
    return Rollout(returned, length, ended, state, memory, records)


def open_loop(actions: jax.Array) -> Policy:
    """Returns a policy that plays back actions (steps, ...); its memory is the index of the next action."""
    return lambda number, state, key: (number + 1, actions[number])
