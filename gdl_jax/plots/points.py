"""Results of several runs as points with error bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import ticker

from gdl_jax.plots.figure import COLORS, drawing, words

WIDTH = 10.8  # inches
LINE = 0.3  # inches per run
MOST_COLUMNS = 4  # panels next to each other


def means_with_errors(values: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """Draws one panel per result and one line per run: each seed's value, their mean and its standard error.

    The standard error is the standard deviation of the seeds' values over the square root of their number.

    Args:
      values: title of a result -> label of a run -> values of its seeds, at least 2. All results have the same runs.
      path: of the PNG.
    """
    runs = len(next(iter(values.values())))
    rows = -(-len(values) // MOST_COLUMNS)
    columns = -(-len(values) // rows)
    with drawing(path, WIDTH, rows * (LINE * runs + 1.0), rows, columns, sharey=True) as (_, axes):
        for cell in axes.flat[len(values) :]:
            cell.set_axis_off()
        for cell, (title, by_run) in zip(axes.flat, values.items(), strict=False):
            for line, seeds in enumerate(by_run.values()):
                color, error = COLORS[line % len(COLORS)], np.std(seeds, ddof=1) / np.sqrt(len(seeds))
                cell.plot(seeds, [line] * len(seeds), "o", color=color, markersize=3, alpha=0.35)
                cell.errorbar(np.mean(seeds), line, xerr=error, fmt="o", color=color, markersize=5, capsize=3)
            cell.set_yticks(range(len(by_run)), list(by_run))
            cell.set_ylim(len(by_run) - 0.5, -0.5)  # first run on top
            cell.tick_params(axis="y", length=0)
            cell.xaxis.set_major_locator(ticker.MaxNLocator(4))
            cell.grid(axis="x")
            cell.set_title(words(title))
