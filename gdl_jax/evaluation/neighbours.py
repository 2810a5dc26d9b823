"""Nearest training images of samples, to detect copies."""

from typing import NamedTuple

import numpy as np

ROWS_AT_ONCE = 2000


class Nearest(NamedTuple):
    """The row of the nearest reference of each image and its distance, both (N,)."""

    index: np.ndarray
    distance: np.ndarray


def nearest_by_l1(images: np.ndarray, references) -> Nearest:
    """Finds the reference with the smallest mean |a - b| over pixels for each image (book 04_01).

    Args:
      images: (N, H, W, C) in [0, 1].
      references: a source of rows with "image" uint8 (H, W, C), read in blocks.

    Returns:
      Rows, and distances in [0, 1].
    """
    flat = (np.asarray(images, np.float32) * 255).reshape(len(images), -1)
    best = Nearest(np.zeros(len(images), int), np.full(len(images), np.inf))
    for first in range(0, len(references), ROWS_AT_ONCE):
        rows = references.take(np.arange(first, min(first + ROWS_AT_ONCE, len(references))))["image"]
        rows = rows.reshape(len(rows), -1).astype(np.float32)
        for i, image in enumerate(flat):
            distances = np.abs(rows - image).mean(axis=1) / 255
            row = int(distances.argmin())
            if distances[row] < best.distance[i]:
                best.index[i], best.distance[i] = first + row, distances[row]
    return best
