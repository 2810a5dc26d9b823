"""Programs that the loop runs: initialisation, many updates in one call, evaluation on a held-out split."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

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
    """Random keys of one run; with several seeds, each is an array of keys."""

    init: jax.Array
    step: jax.Array
    evaluate: jax.Array
    sample: jax.Array


def make_keys(seed: int, seeds: int = 1) -> Keys:
    """Returns the keys of `seed`, or of seed, seed + 1, ... if `seeds` > 1."""
    if seeds == 1:
        return Keys(*jax.random.split(jax.random.key(seed), 4))
    many = jax.vmap(lambda s: jax.random.split(jax.random.key(s), 4))(jnp.arange(seed, seed + seeds))
    return Keys(*many.swapaxes(0, 1))


def _fold(keys: jax.Array, step: jax.Array) -> jax.Array:
    if keys.ndim:
        return jax.vmap(jax.random.fold_in, (0, None))(keys, step)
    return jax.random.fold_in(keys, step)


def _traced_once(function: Callable) -> Callable:
    """Returns a function that is traced once, though used for the shapes of its results and in a loop's body.

    Tracing is half of the start-up time. In both uses the step counter must have the same type, hence jnp.int32(k).
    """
    return jax.jit(function, inline=True)


def initial_state(learner: Learner, data: Any, devices: Devices, seed: int, seeds: int) -> State:
    """Returns the state before the first update, the same on every device."""

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


def blank_state(learner: Learner, data: Any, seed: int, seeds: int) -> State:
    """Returns NumPy zeros with the shapes and dtypes of `initial_state`, without computing it."""

    def init(row):
        batch, keys = data.transform(row), make_keys(seed, seeds).init
        return learner.init(keys, batch) if seeds == 1 else lax.map(lambda key: learner.init(key, batch), keys)

    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(init, dict(data.example())))


def _updates(
    state: State,
    loaded: Any,
    key: jax.Array,
    *,
    learner: Learner,
    data: Any,
    pipeline: input_pipeline.Pipeline,
    arrays: Any,
    first: Any,
    count: Any,
) -> tuple[State, Any]:
    """Returns (state, history) after `count` updates of one seed, starting with update `first`."""

    @_traced_once
    def update(k, state):
        batch = data.transform(pipeline.pick(arrays, loaded, k))
        return learner.step(state, batch, jax.random.fold_in(key, first + k))

    def body(k, carry):
        state, history = carry
        state, metrics = update(jnp.int32(k), state)
        return state, jax.tree.map(lambda past, now: past.at[k].set(now), history, dict(metrics))

    shapes = jax.eval_shape(lambda state: update(jnp.int32(0), state)[1], state)
    history = jax.tree.map(lambda s: jnp.zeros((pipeline.steps_per_call, *s.shape), s.dtype), dict(shapes))
    return lax.fori_loop(0, count, body, (state, history))


def compile_train(
    learner: Learner, data: Any, pipeline: input_pipeline.Pipeline, devices: Devices, seed: int, seeds: int
) -> Callable:
    """Returns a program (state, arrays, loaded, first, count) -> (state, metrics): `count` updates in one call.

    The state is donated. Metrics are arrays of steps_per_call values each (followed by a seed axis, if there are
    several seeds), of which the first `count` are set.
    """

    def call(state, arrays, loaded, first, count):
        where = {"arrays": arrays, "first": first, "count": count}
        run = partial(_updates, learner=learner, data=data, pipeline=pipeline, **where)
        # Outside the loop over steps: on CPU, where seeds run sequentially, each state is copied only once per call.
        state, history = over_seeds(run, seeds, batch_axis=2)(state, loaded, make_keys(seed, seeds).step)
        return state, history if seeds == 1 else jax.tree.map(lambda past: past.swapaxes(0, 1), history)

    return devices.compile(call, (False, False, True, False, False), is_state=(True, False), donate=(0,))


def _sum_and_weight(
    name: str, metric: Any, kept: jax.Array, shape: tuple[int, ...], axis_name: str | None
) -> jax.Array:
    """Returns [sum, weight] of a metric over the kept examples, (2,) or (2, seeds)."""
    values, weights = metric if isinstance(metric, tuple) else (metric, jnp.ones_like(metric))
    for got in (values.shape, weights.shape):
        if got != shape:
            raise UserError(f"{name}: must have one value per example, shape {shape}, not {got}")
    sums = jnp.stack([jnp.where(kept, values * 1.0, 0).sum(-1), jnp.where(kept, weights * 1.0, 0).sum(-1)])
    return sums if axis_name is None else lax.psum(sums, axis_name)


def compile_evaluate(
    learner: Learner, data: Any, pipeline: input_pipeline.Pipeline, devices: Devices, seed: int, seeds: int
) -> Callable:
    """Returns a program (state, arrays, loaded, mask, first, count) -> {name: [sum, weight]}.

    Sums are over the examples whose mask is 1.
    """
    one_batch = over_seeds(learner.evaluate, seeds, batch_axis=None)

    def call(state, arrays, loaded, mask, first, count):
        keys = make_keys(seed, seeds).evaluate
        per_example = (*((seeds,) if seeds > 1 else ()), mask.shape[1])

        @_traced_once
        def totals(k):
            batch = data.transform(pipeline.pick(arrays, loaded, k))
            metrics = one_batch(state, batch, _fold(keys, first + k))
            rest = (mask[k] > 0, per_example, devices.axis_name)
            return {name: _sum_and_weight(name, metric, *rest) for name, metric in metrics.items()}

        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(lambda: totals(jnp.int32(0))))
        return lax.fori_loop(0, count, lambda k, carry: jax.tree.map(jnp.add, carry, totals(jnp.int32(k))), zero)

    return devices.compile(call, (False, False, True, True, False, False))


def make_evaluate(
    learner: Learner,
    data: Any,
    rows: input_pipeline.Source,
    batch_size: int,
    devices: Devices,
    seed: int = 0,
    seeds: int = 1,
) -> Callable[[State], dict[str, np.ndarray]]:
    """Returns a function state -> {name: mean over all of `rows`}, float64 arrays: () or, with several seeds, (seeds,).

    Means are exact: the last batch is padded, and the padding is masked. Every call uses the same noise.
    """
    batch_size = max(jax.device_count(), min(batch_size, len(rows)) // jax.device_count() * jax.device_count())
    batches = math.ceil(len(rows) / batch_size)
    mine = devices.local_slice(batch_size)
    steps_per_call = min(batches, EVALUATION_STEPS_PER_CALL)
    pipeline = input_pipeline.make_pipeline(rows, devices, mine.stop - mine.start, steps_per_call)
    run = compile_evaluate(learner, data, pipeline, devices, seed, seeds)

    def indices(step):
        position = (step * batch_size + np.arange(batch_size))[mine]
        return np.minimum(position, len(rows) - 1).astype(np.int32)

    def evaluate(state):
        sums: dict[str, np.ndarray] = {}
        for first in range(0, batches, pipeline.steps_per_call):
            count = min(pipeline.steps_per_call, batches - first)
            position = (first + np.arange(pipeline.steps_per_call))[:, None] * batch_size + np.arange(batch_size)
            mask = devices.shard((position < len(rows))[:, mine].astype(np.float32))
            loaded = pipeline.load(indices, first, count, batches)
            for name, total in jax.device_get(run(state, pipeline.arrays, loaded, mask, first, count)).items():
                sums[name] = sums.get(name, 0.0) + np.asarray(total, np.float64)
        return {name: total[0] / total[1] for name, total in sums.items()}

    return evaluate
