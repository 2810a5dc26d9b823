"""Averages of a learner's parameters over training, for evaluation and samples (after Polyak & Juditsky 1992).

A moving average over all updates, or the mean of the last checkpoints (Vaswani et al. 2017, section 6.1).
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import TrainState


@struct.dataclass
class AveragedState:
    """State of a learner with moving averages of its parameters and running statistics.

    Attributes:
      trained: the learner's own state, which is trained.
      params, batch_stats: averages of those of `trained`; used in evaluation and sampling.
      step: (), number of updates.
    """

    trained: TrainState
    params: Any
    batch_stats: Any
    step: jax.Array


def average_decay(ema_decay: float, step: jax.Array) -> jax.Array:
    """Returns the decay of the average at update t = `step`, from 0: min(ema_decay, (1 + t) / (10 + t)).

    With a constant decay, the initial parameters would dominate the average for long.
    """
    return jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step))


def initial_average(state: TrainState) -> dict[str, Any]:
    """Returns the average before the first update, {"params", "batch_stats"}: a copy of those of `state`."""
    return jax.tree.map(jnp.array, {"params": state.params, "batch_stats": state.batch_stats})


def updated_average(average: Any, state: TrainState, ema_decay: float, step: jax.Array) -> Any:
    """Returns the average {"params", "batch_stats"} after update `step` (from 0), which led to `state`."""
    now = {"params": state.params, "batch_stats": state.batch_stats}
    return optax.incremental_update(now, average, 1.0 - average_decay(ema_decay, step))


def moving_average(learner: Learner, ema_decay: float) -> Learner:
    """Returns a learner that evaluates and samples with averaged parameters, or `learner` itself if the decay is 0.

    Args:
      learner: with a TrainState as its state.
      ema_decay: decay of the average per update, in [0, 1).
    """
    if not ema_decay:
        return learner

    def init(key, batch):
        trained = learner.init(key, batch)
        params, batch_stats = jax.tree.map(jnp.array, (trained.params, trained.batch_stats))
        return AveragedState(trained, params, batch_stats, jnp.zeros((), jnp.int32))

    def step(state, batch, key):
        trained, metrics = learner.step(state.trained, batch, key)
        now, before = (trained.params, trained.batch_stats), (state.params, state.batch_stats)
        kept = average_decay(ema_decay, state.step)
        params, batch_stats = optax.incremental_update(now, before, 1.0 - kept)
        return AveragedState(trained, params, batch_stats, state.step + 1), metrics

    return _using_averages(learner)._replace(init=init, step=step)


def _using_averages(learner: Learner) -> Learner:
    """Returns a learner whose state is an AveragedState, and which evaluates and samples with the averages."""

    def average(state: AveragedState) -> TrainState:
        return dataclasses.replace(state.trained, params=state.params, batch_stats=state.batch_stats)

    def evaluate(state, batch, key):
        return learner.evaluate(average(state), batch, key)

    def sample(state, key, num, *arguments, **named):
        return learner.sample(average(state), key, num, *arguments, **named)

    return learner._replace(evaluate=evaluate, sample=sample)


@struct.dataclass
class CheckpointAverage(AveragedState):
    """State of a learner with the mean of its parameters at some updates.

    Attributes:
      snapshots: the parameters at the last N of these updates, (N, ...).
    """

    snapshots: Any


def checkpoint_average(learner: Learner, count: int, every: int) -> Learner:
    """Returns a learner that evaluates and samples with the mean of its parameters after the last updates k * every.

    Before the first of them, it uses the latest parameters. Running statistics are the latest.

    Args:
      learner: with a TrainState as its state.
      count: the number N of updates in the mean; 0: returns `learner` itself.
      every: at least 1.
    """
    if not count:
        return learner

    def init(key, batch):
        trained = learner.init(key, batch)
        params, batch_stats = jax.tree.map(jnp.array, (trained.params, trained.batch_stats))
        snapshots = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), params)
        return CheckpointAverage(trained, params, batch_stats, jnp.zeros((), jnp.int32), snapshots)

    def with_snapshot(snapshots, params, taken):
        snapshots = jax.tree.map(lambda all_, one: all_.at[(taken - 1) % count].set(one), snapshots, params)
        weights = (jnp.arange(count) < taken) / jnp.minimum(taken, count)
        return snapshots, jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), snapshots)

    def step(state, batch, key):
        trained, metrics = learner.step(state.trained, batch, key)
        number = state.step + 1
        taken = number // every
        latest = jax.tree.map(partial(jnp.where, taken == 0), trained.params, state.params)
        snapshots, params = lax.cond(
            number % every == 0,
            lambda: with_snapshot(state.snapshots, trained.params, taken),
            lambda: (state.snapshots, latest),
        )
        return CheckpointAverage(trained, params, trained.batch_stats, number, snapshots), metrics

    return _using_averages(learner)._replace(init=init, step=step)
