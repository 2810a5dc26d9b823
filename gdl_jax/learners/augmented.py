"""Random changes of training examples, drawn anew in each update."""

from collections.abc import Callable

import jax

from gdl_jax.core.learner import Batch, Learner
from gdl_jax.core.prng import example_keys


def augmented(learner: Learner, augment: Callable[[Batch, jax.Array], Batch], axis_name: str | None = None) -> Learner:
    """Returns a learner whose updates see changed batches; its evaluation sees the examples as they are.

    Args:
      learner: any learner.
      augment: (batch, keys (B,)) -> batch; each example's randomness comes from its own key.
      axis_name: the pmapped axis or None.
    """

    def step(state, batch, key):
        augment_key, step_key = jax.random.split(key)
        count = len(next(iter(batch.values())))
        return learner.step(state, augment(batch, example_keys(augment_key, count, axis_name)), step_key)

    return learner._replace(step=step)
