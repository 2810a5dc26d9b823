"""Training from weights that exist, such as published ones."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import jax
import numpy as np
import optax

from gdl_jax.learners.averaging import AveragedState
from gdl_jax.learners.gradient import TrainState


def with_params(state: TrainState | AveragedState, params: Mapping[str, Any]) -> TrainState | AveragedState:
    """Returns an initial state with other values of some parameters, and of their average if it has one.

    Args:
      state: before the first update; of several seeds, its arrays have an axis more than those of `params`.
      params: nested dictionaries, in which modules that keep their initial values may be missing.

    Raises:
      ValueError: `params` has a name that the state lacks, or an array of another shape.
    """
    if isinstance(state, AveragedState):
        trained = dataclasses.replace(state.trained, params=_replaced(state.trained.params, params))
        return dataclasses.replace(state, params=_replaced(state.params, params), trained=trained)
    return dataclasses.replace(state, params=_replaced(state.params, params))


def _replaced(old: Any, new: Any) -> Any:
    if not isinstance(new, Mapping):
        return np.broadcast_to(np.asarray(new, old.dtype), old.shape).copy()
    if strange := new.keys() - old.keys():
        raise ValueError(f"no parameters {sorted(strange)} among {sorted(old)}")
    return {name: _replaced(value, new[name]) if name in new else value for name, value in old.items()}


def training_only(optimizer: optax.GradientTransformation, names: Collection[str]) -> optax.GradientTransformation:
    """Returns an optimiser that changes the parameters of some modules alone.

    Clipping by a norm counts their gradients alone.

    Args:
      optimizer: of these parameters.
      names: of the modules, anywhere among the parameters.
    """

    def labels(params):
        def label(path, leaf):
            del leaf
            return "trained" if any(part.key in names for part in path) else "frozen"

        return jax.tree_util.tree_map_with_path(label, params)

    return optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)
