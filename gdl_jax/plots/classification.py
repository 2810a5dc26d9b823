"""Figure of a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from gdl_jax.plots.figure import COLORS, INK, drawing

SHARES = LinearSegmentedColormap.from_list("shares", ["white", COLORS[0]])
MOST_WRITTEN = 30  # classes up to which counts are printed


def confusion_matrix(matrix: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Draws counts of (true, predicted) classes, (K, K), coloured by their share of the true class."""
    size = float(np.clip(0.55 * len(names) + 2, 4.5, 11))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with drawing(path, size, size) as (_, axes):
        cell = axes[0, 0]
        cell.imshow(shares, cmap=SHARES, vmin=0, vmax=1)
        if len(names) <= MOST_WRITTEN:
            for (i, j), count in np.ndenumerate(matrix):
                if count:
                    color = "white" if shares[i, j] > 0.6 else INK
                    cell.text(j, i, f"{count:,}", ha="center", va="center", fontsize=7.5, color=color)
        upright = max(map(len, names)) <= 3
        cell.set_xticks(range(len(names)), names, rotation=0 if upright else 45, ha="center" if upright else "right")
        cell.set_yticks(range(len(names)), names)
        cell.tick_params(length=0)
        cell.spines[:].set_visible(False)
        accuracy = np.trace(matrix) / max(matrix.sum(), 1)
        cell.set(xlabel="predicted", ylabel="true", title=f"Accuracy {accuracy:.2%} ({matrix.sum():,} examples)")
