"""Early stopping: a run ends when its held-out loss has not fallen for so long, and what is used is its best state.

With several seeds each has its own best, and its own waiting. One that has waited long enough keeps its best for
good: the run goes on until all have, and each ends as it would have alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import State
from gdl_jax.core.parallel import to_host

METRIC = "validation/loss"  # what must fall


class Best(NamedTuple):
    """The best state that a run has had. Lies in the host's memory: the loop donates its own.

    Attributes:
      state: in NumPy arrays; before the first evaluation, the first.
      loss: its METRIC, () or (seeds,), float64; infinite before the first evaluation.
      waited: evaluations since, () or (seeds,), at most the patience.
      step: updates that it had, () or (seeds,).
    """

    state: State
    loss: np.ndarray
    waited: np.ndarray
    step: np.ndarray


def none_yet(state: State, seeds: int) -> Best:
    """Before the first evaluation of a run that begins with `state`."""
    shape = () if seeds == 1 else (seeds,)
    zero = np.zeros(shape, np.int32)
    return Best(to_host(state), loss=np.full(shape, np.inf), waited=zero, step=zero)


def after_evaluation(
    best: Best, state: State, values: Mapping[str, np.ndarray] | None, step: int, patience: int, regular: bool = True
) -> Best:
    """The best of what was best and of `state`, whose held-out means are `values`.

    Args:
      best, state, values: these.
      step: updates that `state` had.
      patience: evaluations that are waited for.
      regular: whether the evaluation counts as one that was waited for. The last of a run that ends between two
        regular ones does not: trained further, the run has waited as long as if it had never ended there, unless that
        evaluation was its best.

    Raises:
      ConfigError: there is no METRIC among them.
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


def is_over(best: Best | None, patience: int) -> bool:
    """Whether all seeds have waited long enough."""
    return best is not None and bool((best.waited >= patience).all())


def to_save(state: State, best: Best | None) -> Any:
    """What a checkpoint holds: the state alone where nothing is ever stopped early."""
    return state if best is None else {"state": state, "best": best}
