"""Figures of latent spaces (book chapter 3)."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from gdl_jax.plots.figure import COLORS, INK, QUIET, Text, drawing, save_picture, text_width
from gdl_jax.plots.images import LINE, MARGIN, tile

SHOWN_DIMENSIONS = 50
LONGEST_LEGEND = 25
LABELLED_TICKS = 10


def _palette(count: int) -> np.ndarray:
    """Returns at least `count` colours, (N, 3)."""
    if count <= len(COLORS):
        return matplotlib.colors.to_rgba_array(COLORS)[:, :3]
    return matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3]


def _points(axes, points: np.ndarray, labels: np.ndarray) -> None:
    """Draws points (N, 2) coloured by label (N,), in random order so that no class covers the others."""
    order = np.random.default_rng(0).permutation(len(points))
    size = np.clip(9000 / len(points), 5, 28)
    colors = _palette(labels.max() + 1)[labels]
    axes.scatter(*points[order].T, s=size, c=colors[order], alpha=0.7, linewidths=0)
    axes.grid()


def _legend(axes, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Draws a legend of the classes that occur; none for unlabelled data or more than LONGEST_LEGEND classes."""
    present = np.unique(labels)
    if not len(class_names) or len(present) > LONGEST_LEGEND:
        return
    colors = _palette(labels.max() + 1)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colors[label], label=class_names[label]) for label in present
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.1)


def scatter(z: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """Draws codes as points.

    Args:
      z: (N, z). Only the first two dimensions are drawn; one dimension is drawn on a line.
      labels: (N,) integers; zeros for unlabelled data.
      class_names: names of the labels; empty for unlabelled data.
      path: of the PNG.
    """
    more = f", first two of {z.shape[1]} dimensions" if z.shape[1] > 2 else ""
    plane = np.pad(z, ((0, 0), (0, 1))) if z.shape[1] == 1 else z[:, :2]
    with drawing(path, 8.6, 7.2) as (_, axes):
        _points(axes[0, 0], plane, labels)
        _legend(axes[0, 0], labels, class_names)
        axes[0, 0].set_title(f"Latent codes of {len(z):,} images{more}")
        axes[0, 0].set(xlabel="z[0]", ylabel="z[1]")
        axes[0, 0].set_aspect("equal", "datalim")


def normal_cdf_map(z: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """Draws codes (N, 2) next to their p-values Φ(z), which are uniform if the codes are N(0, 1) (book 03_03).

    Labels and names are as in `scatter`.
    """
    with drawing(path, 11.5, 5.4, 1, 2) as (_, axes):
        codes, p_values = axes[0]
        _points(codes, z, labels)
        codes.set(xlabel="z[0]", ylabel="z[1]", title="Codes z")
        codes.set_aspect("equal", "datalim")
        _points(p_values, np.vectorize(NormalDist().cdf, otypes=[float])(z), labels)
        p_values.set(xlabel="Φ(z[0])", ylabel="Φ(z[1])", title="p-values Φ(z)", xlim=(0, 1), ylim=(0, 1))
        p_values.set_aspect("equal")
        _legend(p_values, labels, class_names)


def decoded_grid(tiles: np.ndarray, axes_values: Sequence[np.ndarray], path: Path) -> None:
    """Draws the decoded images of a grid of codes.

    Args:
      tiles: (rows, columns, H, W, C); the first row has the largest value of the second dimension.
      axes_values: ascending values of the first dimension (columns,) and of the second (rows,).
      path: of the PNG.
    """
    columns = tiles.shape[1]
    picture, boxes = tile(tiles.reshape(-1, *tiles.shape[2:]), columns)
    x_labels = [f"{value:.2f}" for value in axes_values[0]]
    y_labels = [f"{value:.2f}" for value in axes_values[1][::-1]]
    left = int(max(map(text_width, y_labels))) + 2 * MARGIN
    texts = [
        Text(left + x + width / 2, len(picture) + LINE * 0.75, label, color=QUIET)
        for label, (x, _, width, _) in _thinned(x_labels, boxes[:columns])
    ]
    texts += [
        Text(left - MARGIN, y + height / 2, label, "right", QUIET)
        for label, (_, y, _, height) in _thinned(y_labels, boxes[::columns])
    ]
    bottom = len(picture) + LINE * 2
    texts.append(Text(left + picture.shape[1] / 2, bottom, "horizontal: z[0], vertical: z[1]", color=QUIET))
    save_picture(np.pad(picture, ((0, 3 * LINE), (left, 0), (0, 0)), constant_values=255), path, texts)


def _thinned(labels: Sequence[str], boxes: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Returns about LABELLED_TICKS evenly spaced (label, box) pairs."""
    step = -(-len(labels) // LABELLED_TICKS)
    return list(zip(labels, boxes, strict=True))[::step]


def histograms(z: np.ndarray, path: Path, title: str = "Codes") -> None:
    """Draws a histogram of codes (N, z) on [-4, 4] for each of the first 50 dimensions, and the density of N(0, 1)."""
    shown = min(z.shape[1], SHOWN_DIMENSIONS)
    columns = min(10, shown)
    lines = -(-shown // columns)
    edges, grid = np.linspace(-4, 4, 25), np.linspace(-4, 4, 81)
    normal_density = np.vectorize(NormalDist().pdf)(grid)
    width, height = (1.15, 1.05) if shown > 5 else (2.4, 2.2)
    # All histograms share one pair of axes: fifty pairs take matplotlib fifty times as long.
    with drawing(path, max(4.5, width * columns), height * lines + 0.5) as (_, axes):
        cell = axes[0, 0]
        for i in range(shown):
            x, y = 9.0 * (i % columns), -0.75 * (i // columns)
            heights, _ = np.histogram(z[:, i], edges)
            density = heights / len(z) / np.diff(edges)
            cell.stairs(y + density.clip(max=0.65), x + edges, baseline=y, fill=True, color=COLORS[7])
            cell.plot(x + grid, y + normal_density, color=INK, linewidth=1)
            cell.plot(x + edges[[0, -1]], [y, y], color=QUIET, linewidth=0.6)
            cell.text(x - 4, y + 0.4, f"z[{i}]", fontsize=7.5, color=QUIET)
        which = f"{shown} of {z.shape[1]} dimensions" if shown < z.shape[1] else f"{shown} dimensions"
        cell.set_title(f"{title} vs. N(0, 1) on [−4, 4]: {which}")
        cell.set_axis_off()
        cell.margins(0.01)


def dimensions(mean: np.ndarray, log_var: np.ndarray, path: Path) -> None:
    """Draws quantiles of the means and log-variances of q(z | x), for each dimension (book 08: mu and log_var).

    An unused dimension has mean 0 and log-variance 0 for all examples, as the prior has.

    Args:
      mean, log_var: (N, z), of q(z | x) for N examples.
      path: of the PNG.
    """
    places = np.arange(mean.shape[1])
    with drawing(path, max(6.0, 0.24 * len(places)), 5.2, 2, 1, sharex=True) as (_, axes):
        for cell, values, title in zip(
            axes[:, 0],
            (mean, log_var),
            ("Mean of q(z | x) over examples", "Log-variance of q(z | x) over examples"),
            strict=True,
        ):
            low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
            cell.bar(places, high - low, bottom=low, width=0.7, color=COLORS[7])
            cell.plot(places, middle, linestyle="", marker="_", markersize=7, color=INK)
            cell.axhline(0.0, color=QUIET, linewidth=0.8)
            cell.set_title(f"{title}: median, 5–95% range")
            cell.grid(axis="y")
        axes[1, 0].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        axes[1, 0].set_xlabel("dimension of z")


def gaps(
    z: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    drawn: np.ndarray,
    decoded: np.ndarray,
    path: Path,
) -> None:
    """Draws random points of a latent space and their decoded images, to show the gaps between codes (book figure 3-8).

    Each point has a number, in both panels, and its distance to the nearest code of an image: distant ones lie in gaps.

    Args:
      z: codes of images, (N, 2).
      labels: as in `scatter`.
      class_names: as in `scatter`.
      drawn: points sampled uniformly from the bounding box of z, (M, 2).
      decoded: their decoded images, (M, H, W, C).
      path: of the PNG.
    """
    low, high = z.min(0), z.max(0)
    nearest = np.array([np.linalg.norm(z - point, axis=1).min() for point in drawn])
    with drawing(path, 12, 6.1, 1, 2, width_ratios=(1, 0.95)) as (_, axes):
        codes, pictures = axes[0]
        _points(codes, z, labels)
        _legend(codes, labels, class_names)
        codes.add_patch(Rectangle(low, *(high - low), fill=False, edgecolor=QUIET, linestyle="--"))
        codes.scatter(*drawn.T, s=90, color="white", edgecolors=INK, linewidths=0.8, zorder=3)
        for i, point in enumerate(drawn):
            codes.text(*point, str(i + 1), ha="center", va="center", fontsize=6, zorder=4)
        codes.set_title("Latent codes, and points sampled from their bounding box")
        codes.set(xlabel="z[0]", ylabel="z[1]")
        picture, boxes = tile(decoded, 6, below=decoded.shape[1])
        pictures.imshow(picture)
        for i, ((x, y, width, height), distance) in enumerate(zip(boxes, nearest, strict=True)):
            pictures.text(
                x + width / 2, y + height * 1.03, f"{i + 1}  ({distance:.2f})", ha="center", va="top", fontsize=8
            )
        pictures.set_axis_off()
        pictures.set_anchor("N")
        pictures.set_title("Decoded points (distance to the nearest code)")
