"""What a classifier confuses, as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import new_figure, save


def confusion_matrix(matrix: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Counts (true, predicted), (K, K), each in its cell and as a share of its row's colour."""
    size = max(4.5, 0.6 * len(names) + 1.5)
    figure, axes = new_figure(size, size)
    cell = axes[0, 0]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cell.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            cell.text(
                j, i, str(count), ha="center", va="center", fontsize=7, color="white" if shares[i, j] > 0.5 else "k"
            )
    cell.set_xticks(range(len(names)), names, rotation=45, ha="right")
    cell.set_yticks(range(len(names)), names)
    right = np.trace(matrix) / matrix.sum()
    cell.set(xlabel="predicted", ylabel="true", title=f"{right:.1%} of {matrix.sum():,} right")
    save(figure, path)
