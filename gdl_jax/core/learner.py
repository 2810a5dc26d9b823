"""The contract of the project: a way of training is a value, a small tuple of pure functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Batch = Mapping[str, jax.Array]  # every array has the example axis first
Metrics = Mapping[str, jax.Array]
State = Any  # a pytree, usually a flax.struct dataclass


class Learner(NamedTuple):
    """Four pure functions that the one loop (`core.loop.train`) runs, scans, maps over seeds and shards.

    Attributes:
      init: (key, batch) -> state. `batch` has the shapes and dtypes of a training batch; one example is enough.
      step: (state, batch, key) -> (state, metrics). All that one update does (for a GAN: its n_critic critic updates
        and one generator update). Metrics are scalars, and watched for non-finite values. Under
        `--parallel=pmap`, gradients, metrics and batch statistics are averaged over `axis_name`, which the function
        that makes the learner takes.
      evaluate: (state, batch, key) -> metrics, each of shape (B,): one value per example, so that means over a
        data set are exact whatever the batches. A metric with weights (say, tokens per text) is a pair
        (sums, weights), both (B,); its mean over the data set is sum(sums) / sum(weights).
      sample: (state, key, num, ...) -> arrays, `num` (static) of them.
      batches_per_step: how many batches one step uses up (a GAN: one for each critic update); `step` gets them as one
        of so many times the examples.

    Random numbers: `key` is the same on every device. A learner draws one key per example with
    `core.prng.example_keys`, which makes the numbers independent of how the batch is laid over devices.
    """

    init: Callable[[jax.Array, Batch], State]
    step: Callable[[State, Batch, jax.Array], tuple[State, Metrics]]
    evaluate: Callable[[State, Batch, jax.Array], Metrics]
    sample: Callable[..., Any]
    batches_per_step: int = 1
