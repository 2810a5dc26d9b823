"""Tables of the cosines between vectors, drawn as heat maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import INK, drawing
from gdl_jax.plots.shares import SHARES

CELL, LETTER = 0.62, 0.075  # inches of a cell, and of a character of a label


def cosine_tables(tables: Mapping[str, np.ndarray], labels: Sequence[str], path: Path) -> None:
    """Draws tables of cosines side by side; cells are darker the closer their cosine is to 1.

    Args:
      tables: title -> cosines (N, N).
      labels: names of the N vectors, shown with numbers.
      path: of the PNG.
    """
    numbers = range(len(labels))
    width = CELL * len(labels) * len(tables) + LETTER * max(map(len, labels)) + 1.0
    with drawing(path, width, CELL * len(labels) + 1.0, 1, len(tables), sharey=True) as (_, axes):
        for cell, (title, cosines) in zip(axes[0], tables.items(), strict=True):
            cell.imshow(cosines, cmap=SHARES, vmin=0, vmax=1)
            for (i, j), cosine in np.ndenumerate(cosines):
                color = "white" if cosine > 0.6 else INK
                cell.text(j, i, f"{cosine:.2f}", ha="center", va="center", color=color)
            cell.set_xticks(numbers, [str(number + 1) for number in numbers])
            cell.set_yticks(numbers, [f"{label}  {number + 1}" for number, label in enumerate(labels)])
            cell.tick_params(length=0)
            cell.spines[:].set_visible(False)
            cell.set_title(title)
