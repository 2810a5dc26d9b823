"""Training curves, from the rows of `metrics.jsonl`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gdl_jax.plots.figure import QUIET, new_figure, save

COLUMNS = 3


def training_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One panel a metric, with a line for each split; a band of one standard deviation where there are replicas.

    Args:
      rows: each with "step" and values named "split/metric", perhaps "split/metric_std".
      path: of the PNG.
    """
    names = dict.fromkeys(key for row in rows for key in row if "/" in key and not key.endswith("_std"))
    metrics = list(dict.fromkeys(name.split("/", 1)[1] for name in names))
    if not metrics:
        return
    columns = min(COLUMNS, len(metrics))
    lines = -(-len(metrics) // columns)
    figure, axes = new_figure(3.6 * columns, 2.5 * lines, lines, columns)
    for cell in axes.flat[len(metrics) :]:
        cell.set_axis_off()
    for cell, metric in zip(axes.flat, metrics, strict=False):
        splits = [name.split("/", 1)[0] for name in names if name.split("/", 1)[1] == metric]
        for split in splits:
            points = [row for row in rows if f"{split}/{metric}" in row]
            steps = [row["step"] for row in points]
            values = [row[f"{split}/{metric}"] for row in points]
            cell.plot(steps, values, label=split, marker="o" if len(steps) < 15 else None, markersize=3)
            spread = [row.get(f"{split}/{metric}_std", 0.0) for row in points]
            if any(spread):
                low, high = ([v + sign * s for v, s in zip(values, spread, strict=True)] for sign in (-1, 1))
                cell.fill_between(steps, low, high, alpha=0.25)
        cell.set_title(metric.replace("_", " "))
        cell.set_xlabel("step", color=QUIET)
        if len(splits) > 1:
            cell.legend(frameon=False)
    save(figure, path)
