"""The contract of the project: a training method is a value, a small tuple of pure functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Batch = Mapping[str, jax.Array]  # every array has the example axis first
Metrics = dict[str, jax.Array]
State = Any  # a pytree, usually a flax.struct dataclass


class Learner(NamedTuple):
    """Four pure functions that the training loop (`core.loop.train`) runs, scans, maps over seeds and shards.

    Attributes:
      init: (key, batch) -> state. `batch` has the shapes and dtypes of a training batch; one example is enough.
      step: (state, batch, key) -> (state, metrics). One complete update (for a GAN: n_critic critic updates and one
        generator update). Metrics are scalars and are checked for non-finite values. Under `--parallel=pmap`,
        gradients, metrics and batch statistics are averaged over `axis_name`, an argument of the function that makes
        the learner.
      evaluate: (state, batch, key) -> metrics, each of shape (B,): one value per example, so that means over a
        data set are exact for any batch size. A metric with weights (e.g. tokens per text) is a pair
        (sums, weights), both (B,); its mean over the data set is sum(sums) / sum(weights).
      sample: (state, key, num, ...) -> arrays of `num` samples; `num` is static.
      batches_per_step: number of batches that one step uses (a GAN: one per critic update); `step` receives them as
        one batch with that many times the examples.

    Random numbers: `key` is the same on every device. A learner draws one key per example with
    `core.prng.example_keys`, so that the numbers do not depend on how the batch is split over devices.
    """

    init: Callable[[jax.Array, Batch], State]
    step: Callable[[State, Batch, jax.Array], tuple[State, Metrics]]
    evaluate: Callable[[State, Batch, jax.Array], Metrics]
    sample: Callable[..., Any]
    batches_per_step: int = 1
