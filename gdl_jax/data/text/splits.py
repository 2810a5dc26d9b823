"""Splits of sets that have none of their own."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

FEWEST = 3  # one per split
Entry = TypeVar("Entry")


def hold_out_tenths(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Returns {split: entries in their order}: a random tenth each, at least one, for validation and testing.

    The choice depends only on the number of entries, at least FEWEST.
    """
    return hold_out(entries, max(1, len(entries) // 10))


def hold_out(entries: Sequence[Entry], count: int) -> dict[str, list[Entry]]:
    """Returns {split: entries in their order}: `count` random ones each for validation and testing.

    The choice depends only on the numbers.
    """
    order = np.random.default_rng(0).permutation(len(entries))
    chosen = {"train": order[2 * count :], "validation": order[:count], "test": order[count : 2 * count]}
    return {split: [entries[i] for i in np.sort(index)] for split, index in chosen.items()}
