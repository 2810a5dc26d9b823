"""Batches for the training loop: selection of examples and transfer to the device.

Step t's batch is a pure function of (seed, t), so there is no iterator state to save. Data sets that fit live on the
device, and the compiled step picks its rows; larger ones are read ahead by threads, one batch at a time.
"""

import collections
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Protocol

import jax
import numpy as np

from gdl_jax.core.learner import Batch
from gdl_jax.core.parallel import Devices

RESIDENT_BYTES = 512 * 2**20  # larger splits are streamed
STREAMED_CALL_BYTES = 64 * 2**20  # size of the batches of one compiled call
MAX_STEPS_PER_CALL = 1000
READERS = 4


class Source(Protocol):
    """A split of a data set; see `data.dataset.Source`."""

    nbytes: int

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> dict[str, np.ndarray]: ...


Permutation = Callable[[int, int, int], np.ndarray]


def epoch_permutation(seed: int, epoch: int, count: int) -> np.ndarray:
    """Returns the order of the rows in one epoch: (count,) int32."""
    return np.random.default_rng((seed, epoch)).permutation(count).astype(np.int32)


def cached_permutations(size: int) -> Permutation:
    """Returns `epoch_permutation` with a cache of its last `size` results."""
    return lru_cache(maxsize=size)(epoch_permutation)


def batch_indices(
    seed: int, step: int, batch_size: int, count: int, permutation: Permutation = epoch_permutation
) -> np.ndarray:
    """Returns the rows of update `step` (from 0): (batch_size,) int32.

    Every epoch is a permutation of all rows, and a batch may straddle two epochs: for any batch size, each row is seen
    exactly once per epoch, and none is dropped.
    """
    position = step * batch_size + np.arange(batch_size)
    epochs = position // count
    rows = np.empty(batch_size, np.int32)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = permutation(seed, int(epoch), count)[position[here] % count]
    return rows


class DeviceDataset:
    """A split that lives on the device; batches are loaded as row indices."""

    def __init__(self, rows: Source, devices: Devices, steps_per_call: int = MAX_STEPS_PER_CALL):
        self.steps_per_call = steps_per_call
        self.arrays = devices.replicate(rows.take(np.arange(len(rows))))
        self._shard = devices.shard

    def load(self, indices: Callable[[int], np.ndarray], first: int, count: int, end: int) -> Any:
        """Returns the batches of steps first ... first + count - 1 in batch layout (steps_per_call, B, ...).

        Args:
          indices: step -> rows.
          first: first step.
          count: number of steps, at most steps_per_call.
          end: upper bound (exclusive) of the steps that will ever be loaded.
        """
        del end
        index = np.stack([indices(first + k) for k in range(count)])
        padding = np.zeros((self.steps_per_call - count, *index.shape[1:]), index.dtype)
        return self._shard(np.concatenate([index, padding]))

    @staticmethod
    def pick(arrays: Batch, loaded: jax.Array, k: jax.Array) -> Batch:
        """Returns batch k of a call, inside the compiled function."""
        return jax.tree.map(lambda array: array[loaded[k]], arrays)

    def close(self) -> None:
        """Does nothing."""


class HostStream:
    """A split that threads read while the device computes."""

    def __init__(self, rows: Source, devices: Devices, examples: int, steps_per_call: int = MAX_STEPS_PER_CALL):
        """`examples`: number that this process reads per step; it limits the steps per call, as does their size."""
        self.arrays: dict[str, Any] = {}  # nothing stays on the device
        step_bytes = max(1, rows.nbytes // len(rows) * examples)
        self.steps_per_call = int(np.clip(STREAMED_CALL_BYTES // step_bytes, 1, steps_per_call))
        self._rows = rows
        self._shard = devices.shard
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._ahead: collections.OrderedDict[int, Future] = collections.OrderedDict()

    def _read(self, index: np.ndarray) -> dict[str, np.ndarray]:
        taken = self._rows.take(index.reshape(-1))
        return {name: array.reshape(*index.shape, *array.shape[1:]) for name, array in taken.items()}

    def load(self, indices: Callable[[int], np.ndarray], first: int, count: int, end: int) -> Any:
        """Returns the same as `DeviceDataset.load`, and starts reading the batches that follow."""
        for step in range(first, min(first + count + self.steps_per_call, end)):
            if step not in self._ahead:
                self._ahead[step] = self._threads.submit(self._read, indices(step))
        batches = [self._ahead.pop(step).result() for step in range(first, first + count)]
        blank = {name: np.zeros_like(array) for name, array in batches[0].items()}
        batches += [blank] * (self.steps_per_call - count)
        return self._shard({name: np.stack([batch[name] for batch in batches]) for name in blank})

    @staticmethod
    def pick(arrays: Batch, loaded: Batch, k: jax.Array) -> Batch:
        """Returns batch k of a call, inside the compiled function."""
        del arrays
        return jax.tree.map(lambda array: array[k], loaded)

    def close(self) -> None:
        """Stops reading ahead."""
        self._threads.shutdown(wait=True, cancel_futures=True)


Pipeline = DeviceDataset | HostStream


def make_pipeline(rows: Source, devices: Devices, examples: int, steps_per_call: int = MAX_STEPS_PER_CALL) -> Pipeline:
    """Returns a pipeline that holds the split on the device if it is small enough, else streams it."""
    if rows.nbytes <= RESIDENT_BYTES:
        return DeviceDataset(rows, devices, steps_per_call)
    return HostStream(rows, devices, examples, steps_per_call)
