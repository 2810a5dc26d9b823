"""Maps of latent spaces (the book's figures of chapter 3)."""

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
    """(count, 3) or more colours."""
    if count <= len(COLORS):
        return matplotlib.colors.to_rgba_array(COLORS)[:, :3]
    return matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3]


def _points(axes, points: np.ndarray, labels: np.ndarray) -> None:
    """Points (N, 2) coloured by label (N,), in an order that puts no class above the others."""
    order = np.random.default_rng(0).permutation(len(points))
    size = np.clip(9000 / len(points), 5, 28)
    colors = _palette(labels.max() + 1)[labels]
    axes.scatter(*points[order].T, s=size, c=colors[order], alpha=0.7, linewidths=0)
    axes.grid()


def _legend(axes, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """The classes that occur, beside the axes; nothing for unlabelled data or very many classes."""
    present = np.unique(labels)
    if not len(class_names) or len(present) > LONGEST_LEGEND:
        return
    colors = _palette(labels.max() + 1)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colors[label], label=class_names[label]) for label in present
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.1)


def scatter(z: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """Codes as points.

    Args:
      z: (N, z); of more than two dimensions, the first two are shown; one dimension is shown as a line.
      labels: (N,) integers; zeros where there are none.
      class_names: names of the labels; empty where there are none.
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
    """Codes (N, 2) beside their p-values: the normal distribution function spreads N(0, 1) codes evenly (book 03_03).

    Labels and names as for `scatter`.
    """
    with drawing(path, 11.5, 5.4, 1, 2) as (_, axes):
        codes, p_values = axes[0]
        _points(codes, z, labels)
        codes.set(xlabel="z[0]", ylabel="z[1]", title="Codes z")
        codes.set_aspect("equal", "datalim")
        _points(p_values, np.vectorize(NormalDist().cdf, otypes=[float])(z), labels)
        p_values.set(xlabel="Φ(z[0])", ylabel="Φ(z[1])", title="Their p-values Φ(z)", xlim=(0, 1), ylim=(0, 1))
        p_values.set_aspect("equal")
        _legend(p_values, labels, class_names)


def decoded_grid(tiles: np.ndarray, axes_values: Sequence[np.ndarray], path: Path) -> None:
    """What codes on a grid decode to.

    Args:
      tiles: (rows, columns, H, W, C); the first row is the largest value of the second dimension.
      axes_values: the values of the first dimension (columns,), and of the second (rows,), ascending.
      path: of the PNG.
    """
    columns = tiles.shape[1]
    picture, boxes = tile(tiles.reshape(-1, *tiles.shape[2:]), columns)
    x_labels = [f"{value:.2f}" for value in axes_values[0]]
    y_labels = [f"{value:.2f}" for value in axes_values[1][::-1]]
    left = int(max(map(text_width, y_labels))) + 2 * MARGIN
    texts = [
        Text(left + x + width / 2, len(picture) + LINE * 0.75, label, color=QUIET)
        for label, (x, _, width, _) in _spread(x_labels, boxes[:columns])
    ]
    texts += [
        Text(left - MARGIN, y + height / 2, label, "right", QUIET)
        for label, (_, y, _, height) in _spread(y_labels, boxes[::columns])
    ]
    bottom = len(picture) + LINE * 2
    texts.append(Text(left + picture.shape[1] / 2, bottom, "z[0] to the right, z[1] upwards", color=QUIET))
    save_picture(np.pad(picture, ((0, 3 * LINE), (left, 0), (0, 0)), constant_values=255), path, texts)


def _spread(labels: Sequence[str], boxes: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """About LABELLED_TICKS of them, evenly spread."""
    step = -(-len(labels) // LABELLED_TICKS)
    return list(zip(labels, boxes, strict=True))[::step]


def histograms(z: np.ndarray, path: Path, title: str = "Codes") -> None:
    """Each dimension's codes (N, z) against the density of N(0, 1), from -4 to 4; the first 50 dimensions."""
    shown = min(z.shape[1], SHOWN_DIMENSIONS)
    columns = min(10, shown)
    lines = -(-shown // columns)
    edges, grid = np.linspace(-4, 4, 25), np.linspace(-4, 4, 81)
    normal_density = np.vectorize(NormalDist().pdf)(grid)
    width, height = (1.15, 1.05) if shown > 5 else (2.4, 2.2)
    # One pair of axes with shifted histograms: fifty pairs take matplotlib fifty times as long.
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
        cell.set_title(f"{title} against N(0, 1), from −4 to 4: {which}")
        cell.set_axis_off()
        cell.margins(0.01)


def dimensions(mean: np.ndarray, log_var: np.ndarray, path: Path) -> None:
    """How each dimension is used (book 08's figure of mu and log_var): the spread of means, and the noise around them.

    A dimension that tells nothing has means at 0 and a log-variance of 0, the prior's.

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
            cell.set_title(f"{title}: median, and 5 to 95 %")
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
    """The gaps of a latent space made visible: what lies where no image was encoded to (book figure 3-8).

    Each drawn code has a number in both halves, and its distance to the nearest real code: the far ones lie in gaps.

    Args:
      z: codes of images, (N, 2).
      labels: as for `scatter`.
      class_names: as for `scatter`.
      drawn: codes drawn evenly from the bounding box of z, (M, 2).
      decoded: what these decode to, (M, H, W, C).
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
        codes.set_title("Latent codes, and points drawn from their bounding box")
        codes.set(xlabel="z[0]", ylabel="z[1]")
        picture, boxes = tile(decoded, 6, below=decoded.shape[1])
        pictures.imshow(picture)
        for i, ((x, y, width, height), distance) in enumerate(zip(boxes, nearest, strict=True)):
            pictures.text(
                x + width / 2, y + height * 1.03, f"{i + 1}  ({distance:.2f})", ha="center", va="top", fontsize=8
            )
        pictures.set_axis_off()
        pictures.set_anchor("N")
        pictures.set_title("What these decode to (distance to the nearest code)")
