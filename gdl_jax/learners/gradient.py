"""What every learner that follows one gradient shares: its state, and one update."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import lax

from gdl_jax.core.learner import Metrics

Variables = dict[str, Any]


@struct.dataclass
class TrainState:
    """Parameters, running statistics and optimiser state; the first two are {network name: pytree}."""

    params: Any
    batch_stats: Any
    opt_state: optax.OptState


def init_variables(module: nn.Module, key: jax.Array, *inputs: Any) -> tuple[Any, Any]:
    """(params, batch_stats) of a module; the second is {} where it has no batch normalisation."""
    variables = module.init({"params": key, "dropout": key}, *inputs, False)
    return variables["params"], variables.get("batch_stats", {})


def apply_train(module: nn.Module, params: Any, batch_stats: Any, key: jax.Array, *inputs: Any) -> tuple[Any, Any]:
    """(outputs, new batch_stats) in training mode: batch statistics are used and averaged, dropout is on."""
    variables = {"params": params, "batch_stats": batch_stats}
    out, updated = module.apply(variables, *inputs, True, rngs={"dropout": key}, mutable=["batch_stats"])
    return out, updated.get("batch_stats", {})


def apply_eval(module: nn.Module, params: Any, batch_stats: Any, *inputs: Any) -> Any:
    """Outputs in evaluation mode: running statistics, no dropout."""
    return module.apply({"params": params, "batch_stats": batch_stats}, *inputs, False)


def update(
    state: TrainState,
    loss_function: Callable[[Any], tuple[jax.Array, tuple[Any, Metrics]]],
    optimizer: optax.GradientTransformation,
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    """One step down the gradient.

    Args:
      state: before it.
      loss_function: params -> (mean loss over the batch, (new batch_stats, metrics)).
      optimizer: what turns gradients into updates.
      axis_name: the pmapped axis over which gradients, metrics and statistics are averaged, or None.

    Returns:
      The new state, and the metrics with "loss" and "gradient_norm" (the global L2 norm) added.
    """
    (loss, (batch_stats, metrics)), gradients = jax.value_and_grad(loss_function, has_aux=True)(state.params)
    metrics = {"loss": loss, **metrics}
    if axis_name is not None:
        gradients, batch_stats, metrics = lax.pmean((gradients, batch_stats, metrics), axis_name)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {name: value.astype(jnp.float32) for name, value in metrics.items()}
    return TrainState(params, batch_stats, opt_state), metrics | {"gradient_norm": optax.tree.norm(gradients)}
