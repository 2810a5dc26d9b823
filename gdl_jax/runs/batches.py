"""Functions of batches, applied to any number of rows."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def in_batches(function: Callable[[Any], Any], rows: Any, size: int) -> Any:
    """Applies a function to batches of `size` rows; the last batch is padded, so that the function compiles once.

    Args:
      function: pytree of arrays (size, ...) -> pytree of arrays (size, ...).
      rows: pytree of arrays (N, ...), N at least 1.
      size: rows per batch; fewer rows are one batch of their own size.

    Returns:
      The results of all rows as NumPy arrays (N, ...).
    """
    count = len(jax.tree.leaves(rows)[0])
    size = min(size, count)
    parts = []
    for first in range(0, count, size):
        index = np.minimum(np.arange(first, first + size), count - 1)
        parts.append(jax.device_get(function(jax.tree.map(lambda array, index=index: array[index], rows))))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
