"""Pictures of images. All arrays are float in [0, 1], (..., H, W, C) with C = 1 or 3."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gdl_jax.plots.figure import new_figure, save, show_image

GAP = 2
SMALLEST_TILE = 64  # pixels; smaller images are enlarged by a whole factor


def _as_rgb(images: np.ndarray) -> np.ndarray:
    """uint8 RGB of an enlarged copy; grey images become ink on paper."""
    images = np.asarray(images)
    if images.shape[-1] == 1:
        images = np.repeat(1.0 - images, 3, axis=-1)
    factor = max(1, -(-SMALLEST_TILE // images.shape[-2]))
    images = images.repeat(factor, axis=-3).repeat(factor, axis=-2)
    return (images.clip(0, 1) * 255).round().astype(np.uint8)


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """(N, H, W, C) -> one RGB picture, uint8, rows of `columns` images with white gaps."""
    images = _as_rgb(images)
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    picture = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        picture[y : y + height, x : x + width] = image
    return picture


def image_grid(images: np.ndarray, path: Path, columns: int) -> None:
    """A grid of samples: (N, H, W, C)."""
    Image.fromarray(tile(images, columns)).save(path, optimize=True)


def rows(images: Sequence[np.ndarray], labels: Sequence[str], path: Path, headings: Sequence[str] = ()) -> None:
    """Labelled rows of equally many images, each (N, H, W, C), with a heading over each column if given."""
    count = len(images[0])
    figure, axes = new_figure(1.0 * count + 1.2, 1.02 * len(images) + (0.25 if headings else 0), len(images), count)
    for line, row, label in zip(axes, images, labels, strict=True):
        for cell, image in zip(line, row, strict=True):
            show_image(cell, image)
        line[0].text(-0.12, 0.5, label, transform=line[0].transAxes, ha="right", va="center")
    for cell, heading in zip(axes[0], headings, strict=False):
        cell.set_title(heading, fontweight="normal", fontsize=9)
    save(figure, path)


def predictions(images: np.ndarray, true: Sequence[str], predicted: Sequence[str], path: Path) -> None:
    """Images with the predicted class under each; where it is wrong, in red with the true one. At most 10 a row."""
    columns = min(10, len(images))
    lines = -(-len(images) // columns)
    figure, axes = new_figure(1.15 * columns, 1.5 * lines, lines, columns)
    for cell in axes.flat:
        cell.set_axis_off()
    for cell, image, t, p in zip(axes.flat, images, true, predicted, strict=False):
        show_image(cell, image)
        text, color = (p, "#3ca951") if t == p else (f"{p}\n(is {t})", "#d1242f")
        cell.text(0.5, -0.05, text, transform=cell.transAxes, ha="center", va="top", fontsize=8, color=color)
    save(figure, path)


def animation(frames: Sequence[np.ndarray], path: Path, frames_per_second: float) -> None:
    """A looping GIF of frames (H, W, C)."""
    pictures = [Image.fromarray(_as_rgb(frame)) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=round(1000 / frames_per_second), loop=0)
