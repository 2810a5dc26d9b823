"""Histograms of network parameters."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import drawing

BINS = 80
COLUMNS = 3


def weight_histograms(weights: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws one panel per array of {name: array of any shape}. Clipped weights pile up at the two limits."""
    columns = min(COLUMNS, len(weights))
    rows = -(-len(weights) // columns)
    with drawing(path, 3.6 * columns, 2.2 * rows, rows, columns) as (_, axes):
        for cell in axes.flat[len(weights) :]:
            cell.set_axis_off()
        for cell, (name, values) in zip(axes.flat, weights.items(), strict=False):
            cell.hist(np.ravel(values), BINS)
            cell.set_title(f"{name}, {values.size:,}")
            cell.set_yticks([])
            cell.locator_params(axis="x", nbins=5)
