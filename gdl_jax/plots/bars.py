"""Bar charts of probabilities."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import ticker

from gdl_jax.plots.figure import drawing

WIDTH = 13.0  # inches
LINE = 0.36  # inches per value


def probability_bars(
    features: Mapping[str, Sequence[str]], series: Mapping[str, Sequence[np.ndarray]], path: Path
) -> None:
    """Draws horizontal bars: one panel per feature, one line per value, one bar per series.

    Args:
      features: feature -> names of its values.
      series: label of a series -> for each feature, the probabilities of its values.
      path: of the PNG.
    """
    most = max(map(len, features.values()))
    thickness = 0.8 / len(series)
    with drawing(path, WIDTH, LINE * most + 1.1, 1, len(features)) as (figure, axes):
        for j, (cell, (feature, names)) in enumerate(zip(axes[0], features.items(), strict=True)):
            places = np.arange(len(names))
            for i, (label, shares) in enumerate(series.items()):
                cell.barh(places + (i - (len(series) - 1) / 2) * thickness, shares[j], thickness, label=label)
            cell.set_yticks(places, names)
            cell.set_ylim(most - 0.5, -0.5)  # first value on top; bars of equal thickness in all panels
            cell.xaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
            cell.xaxis.set_major_locator(ticker.MaxNLocator(3))
            cell.tick_params(axis="y", length=0)
            cell.grid(axis="x")
            cell.set_title(feature, x=0)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(series))
