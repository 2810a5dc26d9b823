"""State and update of learners that follow a gradient."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import lax

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Batch, Metrics

Variables = dict[str, Any]


@struct.dataclass
class TrainState:
    """Parameters, running statistics and optimiser state of one or several networks."""

    params: Any
    batch_stats: Any
    opt_state: optax.OptState


class Loss(NamedTuple):
    """Result of a loss function.

    Attributes:
      value: (), the mean to minimise.
      batch_stats: running statistics after this batch.
      metrics: {name: ()}, means like `value`.
      weight: (), the number of items that `value` is a mean of, such as tokens where examples differ in length. None:
        examples, so that batches of one size have equal weights.
      outputs: arrays (B, ...), not differentiated, for who calls `update_with_outputs`.
    """

    value: jax.Array
    batch_stats: Any
    metrics: Metrics
    weight: jax.Array | None = None
    outputs: Any = None


# (params, batch_stats, batch, key) -> Loss; `key` is the one passed to `update`.
LossFunction = Callable[[Any, Any, Batch, jax.Array], Loss]


def init_variables(module: nn.Module, key: jax.Array, *inputs: Any) -> tuple[Any, Any]:
    """Returns initial (params, batch_stats) of a module; batch_stats is {} without batch normalisation."""
    variables = module.init({"params": key, "dropout": key}, *inputs, train=False)
    return variables["params"], variables.get("batch_stats", {})


def apply_train(module: nn.Module, params: Any, batch_stats: Any, key: jax.Array, *inputs: Any) -> tuple[Any, Any]:
    """Returns (outputs, new batch_stats) in training mode: batch statistics, updated running averages, dropout."""
    variables = {"params": params, "batch_stats": batch_stats}
    out, updated = module.apply(variables, *inputs, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
    return out, updated.get("batch_stats", {})


def apply_eval(module: nn.Module, params: Any, batch_stats: Any, *inputs: Any) -> Any:
    """Returns outputs in evaluation mode: with running statistics, without dropout."""
    return module.apply({"params": params, "batch_stats": batch_stats}, *inputs, train=False)


class _Gradient(NamedTuple):
    """Gradient and metrics of a batch, the loss included; means over `weight` items, as in `Loss`."""

    gradient: Any
    metrics: Metrics
    batch_stats: Any
    weight: jax.Array | None
    outputs: Any = None


def _gradient(loss_function: LossFunction, params: Any, batch_stats: Any, batch: Batch, key: jax.Array) -> _Gradient:
    def value_and_rest(params):
        loss = loss_function(params, batch_stats, batch, key)
        return loss.value, loss

    (value, loss), gradient = jax.value_and_grad(value_and_rest, has_aux=True)(params)
    return _Gradient(gradient, {"loss": value, **loss.metrics}, loss.batch_stats, loss.weight, loss.outputs)


def _is_per_example(leaf: jax.Array, count: int) -> bool:
    return leaf.ndim > 0 and leaf.shape[0] == count


def _parts_of(batch: Batch, count: int, parts: int) -> Batch:
    """Splits a batch (B, ...) -> (parts, B / parts, ...); example e goes to part e mod `parts`, on the same device."""

    def split(leaf):
        if not _is_per_example(leaf, count):
            return jnp.broadcast_to(leaf, (parts, *leaf.shape))
        return leaf.reshape(-1, parts, *leaf.shape[1:]).swapaxes(0, 1)

    return jax.tree.map(split, dict(batch))


def _accumulated(
    loss_function: LossFunction, params: Any, batch_stats: Any, batch: Batch, key: jax.Array, parts: int
) -> _Gradient:
    """Returns the gradient of a batch, computed part by part: the parts' mean, by their losses' weights."""
    count = max(leaf.shape[0] for leaf in jax.tree.leaves(dict(batch)) if leaf.ndim)
    if count % parts:
        raise ConfigError("accumulate", parts, f"does not divide the {count} examples of a batch")

    def weighted(means):
        weight = jnp.float32(1.0) if means.weight is None else means.weight.astype(jnp.float32)
        sums = jax.tree.map(lambda mean: weight * mean, (means.gradient, dict(means.metrics)))
        return sums, weight

    def one_part(carry, part):
        batch_stats, sums, total = carry
        number, part = part
        fold = jax.random.fold_in if key.ndim == 0 else jax.vmap(jax.random.fold_in, (0, None))
        means = _gradient(loss_function, params, batch_stats, part, fold(key, number))
        more, weight = weighted(means)
        return (means.batch_stats, jax.tree.map(jnp.add, sums, more), total + weight), means.outputs

    parts_of_batch = _parts_of(batch, count, parts)
    first = jax.tree.map(lambda leaf: leaf[0], parts_of_batch)
    shapes = jax.eval_shape(lambda: weighted(_gradient(loss_function, params, batch_stats, first, key)))
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    start = (batch_stats, *zeros)
    (batch_stats, sums, total), outputs = lax.scan(one_part, start, (jnp.arange(parts), parts_of_batch))
    gradient, metrics = jax.tree.map(lambda x: x / total, sums)
    outputs = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(count, *x.shape[2:]), outputs)  # see `_parts_of`
    return _Gradient(gradient, metrics, batch_stats, total, outputs)


def _over_devices(local: _Gradient, axis_name: str) -> _Gradient:
    """Returns the mean over all devices, by their losses' weights."""
    means = local.gradient, dict(local.metrics)
    if local.weight is not None:
        share = local.weight / lax.pmean(local.weight, axis_name)
        means = jax.tree.map(lambda mean: share * mean, means)
    gradient, metrics, batch_stats = lax.pmean((*means, local.batch_stats), axis_name)
    return _Gradient(gradient, metrics, batch_stats, local.weight, local.outputs)


def update(
    state: TrainState,
    loss_function: LossFunction,
    batch: Batch,
    key: jax.Array,
    optimizer: optax.GradientTransformation,
    axis_name: str | None,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics]:
    """Takes one optimiser step.

    Args:
      state: before the step.
      loss_function: (params, batch_stats, batch, key) -> Loss.
      batch: arrays (B, ...); those without an axis of examples are shared by all.
      key: for the randomness of the loss; a key, or an array of keys (N,).
      optimizer: turns gradients into updates.
      axis_name: the pmapped axis over which gradients, metrics and statistics are averaged, or None.
      accumulate: parts of the batch whose gradients are added up, weighted by the examples or tokens of their losses:
        the gradient of the whole batch, in less memory. Each part has a key of its own, so noise and dropout differ
        from those of the whole batch, and batch normalisation sees one part at a time.

    Returns:
      The new state, and the metrics with "loss" and "gradient_norm" (the global L2 norm) added.

    Raises:
      ConfigError: at the first trace, if `accumulate` does not divide the batch.
    """
    state, metrics, _ = update_with_outputs(state, loss_function, batch, key, optimizer, axis_name, accumulate)
    return state, metrics


def update_with_outputs(
    state: TrainState,
    loss_function: LossFunction,
    batch: Batch,
    key: jax.Array,
    optimizer: optax.GradientTransformation,
    axis_name: str | None,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics, Any]:
    """Takes one optimiser step; returns what `update` does, and the loss function's outputs before the step."""
    if accumulate == 1:
        means = _gradient(loss_function, state.params, state.batch_stats, batch, key)
    else:
        means = _accumulated(loss_function, state.params, state.batch_stats, batch, key, accumulate)
    if axis_name is not None:
        means = _over_devices(means, axis_name)
    updates, opt_state = optimizer.update(means.gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {name: value.astype(jnp.float32) for name, value in means.metrics.items()}
    norm = {"gradient_norm": optax.tree.norm(means.gradient)}
    return TrainState(params, means.batch_stats, opt_state), metrics | norm, means.outputs


def one_network(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    inputs: Callable[[Batch], tuple[Any, ...]],
    terms: Callable[[Any, Batch], Mapping[str, jax.Array]],
    mask: Callable[[Batch], jax.Array] | None = None,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> tuple[Callable[..., TrainState], Callable[..., tuple[TrainState, Metrics]]]:
    """Returns `init` and `step` of a learner with one network, whose parameters are `state.params["network"]`.

    Args:
      module: without batch normalisation.
      optimizer: turns gradients into updates.
      inputs: batch -> the module's inputs.
      terms: (the module's output, batch) -> {name: values (B, ...)}; the mean of "loss" is minimised, the others' means
        are logged.
      mask: batch -> bool, of the values' shape: means are over those where it is true, however the batch is split into
        parts or over devices. None: over all.
      accumulate, axis_name: as in `update`.
    """

    def init(key, batch):
        params, _ = init_variables(module, key, *inputs(batch))
        params = {"network": params}
        return TrainState(params, {}, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        predicted, _ = apply_train(module, params["network"], batch_stats, key, *inputs(batch))
        values = terms(predicted, batch)
        if mask is None:
            weight, metrics = None, {name: each.mean() for name, each in values.items()}
        else:
            counted = mask(batch)
            weight = counted.sum().astype(jnp.float32)
            sums = {name: jnp.where(counted, each, 0.0).sum() for name, each in values.items()}
            metrics = {name: total / jnp.maximum(weight, 1.0) for name, total in sums.items()}
        return Loss(metrics.pop("loss"), {}, metrics, weight)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    return init, step
