"""Maps of latent spaces (book figures of chapter 3)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from gdl_jax.plots.figure import COLORS, INK, QUIET, new_figure, save, show_image
from gdl_jax.plots.images import tile

SHOWN_DIMENSIONS = 50


def _points(axes, points: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Points (N, 2) coloured by label (N,), with a legend where there are names."""
    for label in np.unique(labels):
        here = points[labels == label]
        name = class_names[label] if len(class_names) else None
        axes.scatter(*here.T, s=5, alpha=0.6, linewidths=0, color=COLORS[label % len(COLORS)], label=name)
    if len(class_names):
        axes.legend(frameon=False, markerscale=3, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)


def scatter(z: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """Codes (N, z) by label; of more than two dimensions, the first two."""
    figure, axes = new_figure(7, 6)
    _points(axes[0, 0], z[:, :2], labels, class_names)
    more = "" if z.shape[1] == 2 else f", first two of {z.shape[1]} dimensions"
    axes[0, 0].set_title(f"latent codes of {len(z):,} held-out images{more}")
    axes[0, 0].set_aspect("equal", "datalim")
    save(figure, path)


def normal_cdf_map(z: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path) -> None:
    """Codes (N, 2) beside their images under the normal distribution function: N(0, 1) codes fill the square evenly."""
    figure, axes = new_figure(12, 5.4, 1, 2)
    for cell, points, title in zip(axes[0], (z, stats.norm.cdf(z)), ("z", "p-values of z: Φ(z)"), strict=True):
        _points(cell, points, labels, class_names if cell is axes[0, 1] else ())
        cell.set_title(title)
        cell.set_aspect("equal", "datalim" if cell is axes[0, 0] else "box")
    axes[0, 1].set(xlim=(0, 1), ylim=(0, 1))
    save(figure, path)


def decoded_grid(tiles: np.ndarray, axes_values: Sequence[np.ndarray], path: Path) -> None:
    """What codes on a grid decode to.

    Args:
      tiles: (rows, columns, H, W, C); the first row is the largest value of the second dimension.
      axes_values: the values of the first dimension (columns,), and of the second (rows,), ascending.
      path: of the PNG.
    """
    count = tiles.shape[0]
    picture = tile(tiles.reshape(-1, *tiles.shape[2:]), count)
    figure, axes = new_figure(8, 8)
    cell = axes[0, 0]
    cell.imshow(picture, extent=(0, count, 0, count))
    shown = np.arange(0, count, max(1, count // 7))
    cell.set_xticks(shown + 0.5, [f"{axes_values[0][i]:.1f}" for i in shown])
    cell.set_yticks(shown + 0.5, [f"{axes_values[1][i]:.1f}" for i in shown])
    cell.set(xlabel="z, first dimension", ylabel="z, second dimension", title="decoded latent space")
    save(figure, path)


def histograms(z: np.ndarray, path: Path) -> None:
    """Each dimension's codes (N, z) against the density of N(0, 1); the first 50 dimensions."""
    shown = min(z.shape[1], SHOWN_DIMENSIONS)
    columns = min(10, shown)
    lines = -(-shown // columns)
    figure, axes = new_figure(max(5, 1.25 * columns), max(2.5, 1.2 * lines), lines, columns, sharex=True, sharey=True)
    grid = np.linspace(-4, 4, 81)
    for i, cell in enumerate(axes.flat):
        if i >= shown:
            cell.set_axis_off()
            continue
        cell.hist(z[:, i], bins=grid[::4], density=True, color=COLORS[0], alpha=0.7)
        cell.plot(grid, stats.norm.pdf(grid), color=INK, linewidth=1)
        cell.set_title(f"z[{i}]", fontsize=7, fontweight="normal")
        cell.set(yticks=[], xlim=(-4, 4))
    figure.suptitle(f"codes against N(0, 1), {shown} of {z.shape[1]} dimensions", fontsize=10, fontweight="bold")
    save(figure, path)


def gaps(
    z: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    drawn: np.ndarray,
    decoded: np.ndarray,
    path: Path,
) -> None:
    """Codes (N, 2), codes drawn from their bounding box (M, 2), and what these decode to (M, H, W, C).

    Each drawn code has its number and its distance to the nearest real one: the far ones lie in gaps.
    """
    figure, axes = new_figure(13, 6, 1, 2)
    cell = axes[0, 0]
    _points(cell, z, labels, class_names)
    low, high = z.min(0), z.max(0)
    cell.plot([low[0], high[0], high[0], low[0], low[0]], [low[1], low[1], high[1], high[1], low[1]], color=QUIET, lw=1)
    cell.scatter(*drawn.T, s=60, color="white", edgecolors=INK, zorder=3)
    for i, point in enumerate(drawn):
        cell.text(*point, str(i + 1), ha="center", va="center", fontsize=5.5, zorder=4)
    cell.set_title("latent codes, and points drawn from their bounding box")
    distances = np.sqrt(((drawn[:, None] - z[None]) ** 2).sum(-1)).min(1)
    axes[0, 1].set_axis_off()
    axes[0, 1].set_title("what the drawn points decode to (distance to the nearest code)")
    columns = 6
    lines = -(-len(decoded) // columns)
    for i, (image, distance) in enumerate(zip(decoded, distances, strict=True)):
        x, y = (i % columns) / columns, 1 - (i // columns + 1) / lines
        inset = axes[0, 1].inset_axes((x, y, 0.95 / columns, 0.8 / lines))
        show_image(inset, image)
        inset.set_title(f"{i + 1}: {distance:.2f}", fontsize=7, fontweight="normal", pad=1)
    save(figure, path)
