"""Training curves from the rows of `metrics.jsonl`."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import ticker

from gdl_jax.plots.figure import COLORS, drawing, words

WIDTH = 10.8  # inches
SPLIT_COLORS = {"train": COLORS[0], "validation": COLORS[2], "test": COLORS[4]}
MARKED = 25  # points up to which each has a marker
LOGARITHMIC = 20.0  # ratio of the largest to the smallest value above which the axis is logarithmic


def training_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draws one panel per metric with one line per split; with several seeds, a band of one standard deviation.

    Args:
      rows: each has "step" and values named "split/metric"; with several seeds, "split/metric_std" as well.
      path: of the PNG.

    Returns:
      True if there was anything to draw; otherwise no file is written.
    """
    names = sorted({key for row in rows for key in row if "/" in key and not key.endswith("_std")})
    panels: dict[str, list[str]] = {}
    for name in names:
        panels.setdefault(name.split("/", 1)[1], []).append(name)
    # The loss comes first; metrics of a single split come last.
    metrics = sorted(panels, key=lambda metric: (metric != "loss", -len(panels[metric]), metric))
    if not metrics:
        return False
    columns = 2 if len(metrics) == 4 else min(3 if len(metrics) <= 9 else 4, len(metrics))
    lines = -(-len(metrics) // columns)
    with drawing(path, WIDTH, 2.9 * lines, lines, columns) as (_, axes):
        for cell in axes.flat[len(metrics) :]:
            cell.set_axis_off()
        for cell, metric in zip(axes.flat, metrics, strict=False):
            _panel(cell, rows, metric, panels[metric])
    return True


def compared_curves(
    logs: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str], x_label: str, path: Path
) -> None:
    """Draws one panel per metric with one line per run, and a band of one standard deviation over seeds.

    Args:
      logs: label of a run -> rows with "step" and the metrics.
      names: metrics, as "split/metric".
      x_label: label of the step axis.
      path: of the PNG.
    """
    with drawing(path, WIDTH, 3.4, 1, len(names)) as (figure, axes):
        for cell, name in zip(axes[0], names, strict=True):
            for label, rows in logs.items():
                points = np.array([(row["step"], row[name], row.get(f"{name}_std", 0.0)) for row in rows], float)
                steps, values, std = points.T
                (line,) = cell.plot(steps, values, label=label, marker="o", markersize=3)
                lower = np.maximum(values - std, 0.0) if (values >= 0).all() else values - std
                cell.fill_between(steps, lower, values + std, color=line.get_color(), alpha=0.15, linewidth=0)
            if (steps == steps.round()).all():
                cell.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
            if steps[-1] >= 1000:
                cell.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
            cell.grid(axis="y")
            cell.set_title(words(name.split("/", 1)[1]))
            cell.set_xlabel(x_label)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(logs))


def generations(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws a search by an evolution strategy: returns over generations, and the step size.

    Bands cover the range of returns, and one standard deviation around the mean, over individuals. If individuals are
    trained in a dream, their returns are not comparable with those in the environment, which get their own panel.

    Args:
      rows: with "step" (generation), "train/mean_return", min, max, std, and "train/sigma". Rows of evaluations have
        "test/return" and, for dreams, "test/dream_return": the returns of the search distribution's mean.
      path: of the PNG.
    """
    names = ("mean_return", "std_return", "min_return", "max_return", "sigma")
    logged = [(row["step"], *(row[f"train/{name}"] for name in names)) for row in rows if "train/mean_return" in row]
    in_game, in_dream = (
        [(row["step"], row[name]) for row in rows if name in row] for name in ("test/return", "test/dream_return")
    )
    steps, mean, std, least, greatest, sigma = np.array(logged, float).T
    color, marker = COLORS[0], "o" if len(steps) == 1 else None
    panels = {"Return in the dream": in_dream, "Return in the game": in_game} if in_dream else {"Return": in_game}
    with drawing(path, WIDTH, 3.6, 1, len(panels) + 1, width_ratios=(2, *[1] * len(panels))) as (_, axes):
        *evaluated, step_size = axes[0]
        returns = evaluated[0]
        returns.fill_between(steps, least, greatest, color=color, alpha=0.12, linewidth=0, label="min to max")
        returns.fill_between(steps, mean - std, mean + std, color=color, alpha=0.25, linewidth=0, label="mean ± std")
        returns.plot(steps, mean, color=color, marker=marker, label="mean")
        look = {"color": SPLIT_COLORS["test"], "markersize": 3, "label": "evaluation"}
        for cell, points in zip(evaluated, panels.values(), strict=True):
            if points:
                cell.plot(*zip(*points, strict=True), "o-", **look)
            cell.legend(fontsize=8, handlelength=1.2)
        step_size.plot(steps, sigma, color=color, marker=marker)
        for cell, title in zip(axes[0], (*panels, "Step size σ"), strict=True):
            cell.set_title(title)
            cell.set_xlabel("generation")
            cell.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
            cell.grid(axis="y")


def _panel(axes, rows: Sequence[Mapping[str, Any]], metric: str, names: Sequence[str]) -> None:
    smallest, largest = np.inf, -np.inf
    free = itertools.cycle(color for color in COLORS if color not in SPLIT_COLORS.values())
    for name in names:
        split = name.split("/", 1)[0]
        points = np.array([(row["step"], row[name], row.get(f"{name}_std", 0.0)) for row in rows if name in row], float)
        steps, values, std = points.T
        smallest, largest = min(smallest, np.nanmin(values - std)), max(largest, np.nanmax(values + std))
        color = SPLIT_COLORS.get(split) or next(free)
        marker = "o" if len(steps) <= MARKED else None
        (line,) = axes.plot(steps, values, label=f"{split}  {values[-1]:.4g}", color=color, marker=marker, markersize=3)
        if std.any():
            axes.fill_between(steps, values - std, values + std, color=line.get_color(), alpha=0.18, linewidth=0)
    if smallest > 0 and largest > LOGARITHMIC * smallest:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    if len({row["step"] for row in rows}) == 1:
        axes.set_xticks([rows[0]["step"]])
    axes.grid(axis="y")
    axes.set_title(words(metric))
    axes.set_xlabel("step")
    axes.legend(fontsize=8, handlelength=1.2)
