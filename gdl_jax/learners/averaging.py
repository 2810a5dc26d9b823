"""A moving average of what a learner trains, for evaluation and samples (Polyak & Juditsky 1992, exponential)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import TrainState


@struct.dataclass
class AveragedState:
    """A state and the average of its parameters and running statistics, which stand for them outside training.

    Attributes:
      trained: the learner's own state.
      params, batch_stats: averages of those of `trained`.
      step: (), updates made.
    """

    trained: TrainState
    params: Any
    batch_stats: Any
    step: jax.Array


def average_decay(ema_decay: float, step: jax.Array) -> jax.Array:
    """Returns the share of the old average that is kept after update `step` (from 0): at most (1 + t) / (10 + t).

    An average that starts with the initial parameters would otherwise remember them for long.
    """
    return jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step))


def moving_average(learner: Learner, ema_decay: float) -> Learner:
    """Returns a learner that evaluates and samples by a moving average of the parameters; itself where the decay is 0.

    Args:
      learner: whose state is a TrainState.
      ema_decay: share of the average that is kept at each update, in [0, 1).
    """
    if not ema_decay:
        return learner

    def average(state: AveragedState) -> TrainState:
        return state.trained.replace(params=state.params, batch_stats=state.batch_stats)

    def init(key, batch):
        trained = learner.init(key, batch)
        copies = jax.tree.map(jnp.array, (trained.params, trained.batch_stats))
        return AveragedState(trained, *copies, jnp.zeros((), jnp.int32))

    def step(state, batch, key):
        trained, metrics = learner.step(state.trained, batch, key)
        now, before = (trained.params, trained.batch_stats), (state.params, state.batch_stats)
        averages = optax.incremental_update(now, before, 1.0 - average_decay(ema_decay, state.step))
        return AveragedState(trained, *averages, state.step + 1), metrics

    def evaluate(state, batch, key):
        return learner.evaluate(average(state), batch, key)

    def sample(state, key, num, *arguments, **named):
        return learner.sample(average(state), key, num, *arguments, **named)

    return learner._replace(init=init, step=step, evaluate=evaluate, sample=sample)
