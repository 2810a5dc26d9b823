"""Figures of neural style transfer (book figures 5-14 and 5-16 to 5-18)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

from gdl_jax.plots.figure import COLORS, INK, Text, drawing, save_picture, words
from gdl_jax.plots.images import GAP, LINE, MARGIN, animation, as_rgb, fitted

SMALLEST = 1e-6  # of the largest loss: a content loss that begins at 0, but for rounding, is not drawn
TALLEST = 256  # pixels; taller pictures of a strip or film are reduced
WARM = LinearSegmentedColormap.from_list("warm", ["white", COLORS[2]])


def save(picture: np.ndarray, path: Path) -> None:
    """Saves a picture (H, W, 3) in [0, 1], clipped, at its full size."""
    Image.fromarray(as_rgb(picture)).save(path)


def _reduced(picture: np.ndarray, height: int) -> np.ndarray:
    """Returns a picture (H, W, 3) in [0, 1] as uint8, with this height if it is taller."""
    pixels = Image.fromarray(as_rgb(picture))
    if pixels.height > height:
        pixels = pixels.resize((max(1, round(pixels.width * height / pixels.height)), height), Image.Resampling.LANCZOS)
    return np.asarray(pixels)


def strip(pictures: Sequence[np.ndarray], headings: Sequence[str], path: Path) -> None:
    """Draws pictures of any sizes (H, W, 3) side by side with a heading above each; large ones are reduced."""
    top = LINE + MARGIN
    tiles = [_reduced(picture, TALLEST) for picture in pictures]
    canvas = np.full(
        (top + max(map(len, tiles)), sum(tile.shape[1] for tile in tiles) + GAP * (len(tiles) - 1), 3), 255, np.uint8
    )
    texts, left = [], 0
    for tile, heading in zip(tiles, headings, strict=True):
        height, width, _ = tile.shape
        canvas[top : top + height, left : left + width] = tile
        texts.append(Text(left + width / 2, top / 2, fitted(heading, width)))
        left += width + GAP
    save_picture(canvas, path, texts)


def film(pictures: Sequence[np.ndarray], path: Path, frames_per_second: float) -> None:
    """Saves pictures (H, W, 3) as a looping GIF; large ones are reduced."""
    animation([_reduced(picture, TALLEST) / 255.0 for picture in pictures], path, frames_per_second)


def loss_curves(curves: Mapping[str, Sequence[tuple[float, float]]], x_label: str, title: str, path: Path) -> None:
    """Draws positive numbers on a logarithmic axis, one line each.

    Args:
      curves: label -> points (x, y); those below SMALLEST of the largest y are left out.
      x_label: label of the x axis.
      title: of the figure.
      path: of the PNG.
    """
    with drawing(path, 7.2, 4.0) as (_, axes):
        cell = axes[0, 0]
        largest = max(y for points in curves.values() for _, y in points)
        for label, points in curves.items():
            shown = [(x, y) for x, y in points if y > SMALLEST * largest]
            if shown:
                cell.plot(*zip(*shown, strict=True), label=f"{label}  {shown[-1][1]:.3g}")
        cell.set_yscale("log")
        cell.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:.0e}"))
        cell.yaxis.set_minor_formatter(ticker.NullFormatter())
        cell.grid(axis="y")
        cell.set_title(title)
        cell.set_xlabel(x_label)
        cell.legend(fontsize=8)


def term_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draws the loss and its three terms over the evaluations of the loss.

    Args:
      rows: of metrics.jsonl; those with "test/loss" are used.
      path: of the PNG.

    Returns:
      True if there was anything to draw; otherwise no file is written.
    """
    evaluated = [row for row in rows if "test/loss" in row]
    if len(evaluated) < 2:
        return False
    names = ("loss", "content", "style", "total_variation")
    curves = {words(name): [(row["test/evaluations"], row[f"test/{name}"]) for row in evaluated] for name in names}
    loss_curves(curves, "evaluations of the loss and its gradient", "Terms of the loss, with their weights", path)
    return True


def gram_matrices(
    pictures: Sequence[np.ndarray],
    labels: Sequence[str],
    maps: Sequence[np.ndarray],
    channels: Sequence[int],
    path: Path,
) -> None:
    """Draws feature maps of pictures, and the Gram matrices of these maps (book figures 5-16 and 5-17).

    The matrices are divided by the largest value of all.

    Args:
      pictures: (H, W, 3) in [0, 1] each, of any sizes.
      labels: of the pictures.
      maps: (h, w, K) each, features of K channels.
      channels: numbers of the channels.
      path: of the PNG.
    """
    count = len(channels)
    grams = [np.einsum("hwi,hwj->ij", each, each) / (each.shape[0] * each.shape[1]) for each in maps]
    brightest, largest = max(each.max() for each in maps) or 1.0, max(gram.max() for gram in grams) or 1.0
    with drawing(path, 2.1 * (count + 2), 2.0 * len(pictures), len(pictures), count + 2) as (_, axes):
        for line, picture, label, features, gram in zip(axes, pictures, labels, maps, grams, strict=True):
            for cell in line:
                cell.set(xticks=[], yticks=[])
                cell.spines[:].set_visible(False)
            line[0].imshow(as_rgb(picture))
            line[0].set_title(label)
            for cell, number, values in zip(line[1:], channels, np.moveaxis(features, -1, 0), strict=False):
                cell.imshow(values, cmap="gray", vmin=0, vmax=brightest)
                cell.set_title(f"Channel {number}")
            line[-1].imshow(gram / largest, cmap=WARM, vmin=0, vmax=1)
            line[-1].set_title("Gram matrix")
            for (i, j), value in np.ndenumerate(gram):
                line[-1].text(j, i, f"{value / largest:.2f}", ha="center", va="center", fontsize=8, color=INK)
