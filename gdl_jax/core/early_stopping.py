"""Early stopping: training ends when the held-out loss has stopped falling, and its best state is returned.

With several seeds, each has its own best state and its own patience. A seed that has run out of patience keeps its
best state; training continues until all have, and each seed ends as it would in a separate run.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import State
from gdl_jax.core.parallel import to_host

METRIC = "validation/loss"  # the loss that must fall


class Best(NamedTuple):
    """Best state of a run so far, in host memory because the loop donates its own.

    Attributes:
      state: NumPy arrays; the initial state before the first evaluation.
      loss: its METRIC, () or (seeds,), float64; infinite before the first evaluation.
      waited: evaluations without improvement since then, () or (seeds,), at most the patience.
      step: updates made by `state`, () or (seeds,).
    """

    state: State
    loss: np.ndarray
    waited: np.ndarray
    step: np.ndarray


def initial_best(state: State, seeds: int) -> Best:
    """Returns the best state before the first evaluation: the initial state."""
    shape = () if seeds == 1 else (seeds,)
    zero = np.zeros(shape, np.int32)
    return Best(to_host(state), loss=np.full(shape, np.inf), waited=zero, step=zero)


def update_best(
    best: Best, state: State, values: Mapping[str, np.ndarray] | None, step: int, patience: int, regular: bool = True
) -> Best:
    """Returns `best`, replaced by `state` where its validation loss is lower.

    Args:
      best: best state so far.
      state: the state that was evaluated.
      values: its held-out means.
      step: updates made by `state`.
      patience: evaluations without improvement before a seed stops.
      regular: whether the evaluation uses up patience. The last evaluation of a run that ends between two regular ones
        does not: if the run is trained further, it stops where it would have stopped without that end, unless that
        evaluation was its best.

    Raises:
      ConfigError: METRIC is missing from `values`.
    """
    if not values or METRIC not in values:
        raise ConfigError("patience", patience, "needs a validation split with a loss; this run has none")
    loss, waiting = np.asarray(values[METRIC], np.float64), best.waited < patience
    better = waiting & (loss < best.loss)

    def pick(new: Any, old: Any) -> np.ndarray:
        return np.where(better.reshape(better.shape + (1,) * (np.ndim(new) - better.ndim)), new, old)

    return Best(
        state=jax.tree.map(pick, to_host(state), best.state) if better.any() else best.state,
        loss=np.where(better, loss, best.loss),
        waited=np.where(better, 0, best.waited + (waiting & regular)).astype(np.int32),
        step=np.where(better, step, best.step).astype(np.int32),
    )


def out_of_patience(best: Best | None, patience: int) -> bool:
    """True if all seeds have run out of patience."""
    return best is not None and bool((best.waited >= patience).all())


def to_save(state: State, best: Best | None) -> Any:
    """Returns the contents of a checkpoint: the state, together with the best state if there is early stopping."""
    return state if best is None else {"state": state, "best": best}
