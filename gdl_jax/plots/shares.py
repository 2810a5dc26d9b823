"""Tables of shares, drawn as heat maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from gdl_jax.plots.figure import COLORS, INK, drawing

SHARES = LinearSegmentedColormap.from_list("shares", ["white", COLORS[0]])
CELL, LINE = 0.75, 0.36  # inches


def share_table(shares: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str, path: Path) -> None:
    """Draws a table of percentages; cells are darker the larger their share.

    Args:
      shares: (rows, columns) in [0, 1].
      rows: names of the rows.
      columns: names of the columns, which may have several lines.
      title: of the figure.
      path: of the PNG.
    """
    with drawing(path, CELL * len(columns) + 2.2, LINE * len(rows) + 1.1) as (_, axes):
        cell = axes[0, 0]
        cell.imshow(shares, cmap=SHARES, vmin=0, vmax=1, aspect="auto")
        for (i, j), share in np.ndenumerate(shares):
            color = "white" if share > 0.6 else INK
            cell.text(j, i, f"{share:.0%}" if share else "0", ha="center", va="center", color=color)
        cell.set_xticks(range(len(columns)), columns)
        cell.set_yticks(range(len(rows)), rows)
        cell.tick_params(length=0, labeltop=True, labelbottom=False)
        cell.spines[:].set_visible(False)
        cell.set_title(title)
