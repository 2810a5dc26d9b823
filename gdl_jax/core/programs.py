"""The programs that the loop runs: the first state, many updates in one call, a pass over a held-out split."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gdl_jax.core import input_pipeline
from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Learner, State
from gdl_jax.core.parallel import Devices, over_seeds

EVALUATION_STEPS_PER_CALL = 64


class Keys(NamedTuple):
    """One run's random streams; with several seeds, each is an array of keys."""

    init: jax.Array
    step: jax.Array
    evaluate: jax.Array
    sample: jax.Array


def make_keys(seed: int, seeds: int = 1) -> Keys:
    """The streams of seed `seed`, or of seeds seed, seed + 1, ... where `seeds` > 1."""
    if seeds == 1:
        return Keys(*jax.random.split(jax.random.key(seed), 4))
    many = jax.vmap(lambda s: jax.random.split(jax.random.key(s), 4))(jnp.arange(seed, seed + seeds))
    return Keys(*many.swapaxes(0, 1))


def _fold(keys: jax.Array, step: jax.Array) -> jax.Array:
    if keys.ndim:
        return jax.vmap(jax.random.fold_in, (0, None))(keys, step)
    return jax.random.fold_in(keys, step)


def _traced_once(function: Callable) -> Callable:
    """For what is asked for the shapes of its results before it becomes a loop's body: tracing is half of a start.

    Both times its counter must be of one type, which a loop's own is not sure to be: jnp.int32(k).
    """
    return jax.jit(function, inline=True)


def initial_state(learner: Learner, data, devices: Devices, seed: int, seeds: int) -> State:
    """The state before the first update, the same on every device."""

    def init(rows):
        keys = make_keys(seed, seeds).init
        batch = data.transform(jax.tree.map(lambda array: array[0], rows))
        if seeds == 1:
            return learner.init(keys, batch)
        return lax.map(lambda key: learner.init(key, batch), keys)

    mine = devices.local_slice(jax.device_count())
    rows = data.train.take(np.zeros(mine.stop - mine.start, np.int64))
    init = devices.compile(init, (True,), is_state=True, once=True)
    return init(devices.shard({name: array[None] for name, array in rows.items()}))


def compile_train(learner: Learner, data, feed, devices: Devices, seed: int, seeds: int) -> Callable:
    """(state, arrays, loaded, first, count) -> (state, metrics): `count` updates in one call.

    The state is donated. Metrics are arrays of steps_per_call values each (with an axis of seeds after it), of
    which the first `count` are filled.
    """

    def call(state, arrays, loaded, first, count):
        def run(state, loaded, key):
            @_traced_once
            def update(k, state):
                batch = data.transform(feed.pick(arrays, loaded, k))
                return learner.step(state, batch, jax.random.fold_in(key, first + k))

            def body(k, carry):
                state, history = carry
                state, metrics = update(jnp.int32(k), state)
                return state, jax.tree.map(lambda past, now: past.at[k].set(now), history, dict(metrics))

            shapes = jax.eval_shape(lambda state: update(jnp.int32(0), state)[1], state)
            history = jax.tree.map(lambda s: jnp.zeros((feed.steps_per_call, *s.shape), s.dtype), dict(shapes))
            return lax.fori_loop(0, count, body, (state, history))

        # Outside the loop over steps: on CPU, where seeds take turns, each one's state is copied once a call only.
        state, history = over_seeds(run, seeds, batch_axis=2)(state, loaded, make_keys(seed, seeds).step)
        return state, history if seeds == 1 else jax.tree.map(lambda past: past.swapaxes(0, 1), history)

    return devices.compile(call, (False, False, True, False, False), is_state=(True, False), donate=(0,))


def compile_evaluate(learner: Learner, data, feed, devices: Devices, seed: int, seeds: int) -> Callable:
    """(state, arrays, loaded, mask, first, count) -> {name: (sum, weight)} over the examples whose mask is 1."""
    one_batch = over_seeds(learner.evaluate, seeds, batch_axis=None)

    def call(state, arrays, loaded, mask, first, count):
        keys = make_keys(seed, seeds).evaluate

        @_traced_once
        def totals(k):
            batch = data.transform(feed.pick(arrays, loaded, k))
            metrics = one_batch(state, batch, _fold(keys, first + k))

            per_example = (*((seeds,) if seeds > 1 else ()), mask.shape[1])

            def total(name, metric):
                values, weights = metric if isinstance(metric, tuple) else (metric, jnp.ones_like(metric))
                for shape in (values.shape, weights.shape):
                    if shape != per_example:
                        raise UserError(f"{name}: has shape {shape}, not one value per example: {per_example}")
                kept = mask[k] > 0
                sums = jnp.stack([jnp.where(kept, values * 1.0, 0).sum(-1), jnp.where(kept, weights * 1.0, 0).sum(-1)])
                return sums if devices.axis_name is None else lax.psum(sums, devices.axis_name)

            return {name: total(name, metric) for name, metric in metrics.items()}

        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(lambda: totals(jnp.int32(0))))
        return lax.fori_loop(0, count, lambda k, carry: jax.tree.map(jnp.add, carry, totals(jnp.int32(k))), zero)

    return devices.compile(call, (False, False, True, True, False, False))


def make_evaluate(learner: Learner, data, rows, batch_size: int, devices: Devices, seed: int = 0, seeds: int = 1):
    """state -> {name: mean over all of `rows`}, float64 arrays: () or, with several seeds, (seeds,).

    Means are exact: the last batch is padded and its padding masked. The noise is the same at every call.
    """
    batch_size = max(jax.device_count(), min(batch_size, len(rows)) // jax.device_count() * jax.device_count())
    batches = math.ceil(len(rows) / batch_size)
    columns = devices.local_slice(batch_size)
    feed = input_pipeline.make_pipeline(
        rows, devices, columns.stop - columns.start, min(batches, EVALUATION_STEPS_PER_CALL)
    )
    run = compile_evaluate(learner, data, feed, devices, seed, seeds)

    def indices(step):
        position = (step * batch_size + np.arange(batch_size))[columns]
        return np.minimum(position, len(rows) - 1).astype(np.int32)

    def evaluate(state):
        sums: dict[str, np.ndarray] = {}
        for first in range(0, batches, feed.steps_per_call):
            count = min(feed.steps_per_call, batches - first)
            position = (first + np.arange(feed.steps_per_call))[:, None] * batch_size + np.arange(batch_size)
            mask = devices.shard((position < len(rows))[:, columns].astype(np.float32))
            loaded = feed.load(indices, first, count, batches)
            for name, total in jax.device_get(run(state, feed.arrays, loaded, mask, first, count)).items():
                sums[name] = sums.get(name, 0.0) + np.asarray(total, np.float64)
        return {name: total[0] / total[1] for name, total in sums.items()}

    return evaluate
