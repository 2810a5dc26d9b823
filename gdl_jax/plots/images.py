"""Pictures of images, float (..., H, W, C) in [0, 1]. Grey ones (C = 1) are inverted: 1 is black on white paper."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gdl_jax.plots.figure import INK, RIGHT, WRONG, Text, save_picture, text_width, with_texts

WIDTH = 1300  # pixels, target width of a picture
LARGEST_TILE = 256  # pixels, largest width to which an image is enlarged
GAP = 3
LINE = 20  # pixels per line of text
MARGIN = 10
WIDEST_LABEL = 240


def as_rgb(images: np.ndarray) -> np.ndarray:
    """Converts (..., H, W, 1 or 3) in [0, 1] to (..., H, W, 3) uint8; values outside are clipped."""
    images = np.asarray(images)
    if images.shape[-1] == 1:
        images = np.repeat(1.0 - images, 3, axis=-1)
    return (images.clip(0, 1) * 255).round().astype(np.uint8)


def tile(images: np.ndarray, columns: int, below: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Arranges images in a grid, all enlarged by the same integer factor.

    Args:
      images: (N, H, W, C).
      columns: images per row.
      below: white pixels under each image, for a caption.

    Returns:
      (picture (height, width, 3) uint8, boxes (N, 4): x, y, width and height of each image in it).
    """
    pixels = as_rgb(images)
    count, height, width, _ = pixels.shape
    columns = min(columns, count)
    factor = max(1, min(WIDTH // (columns * width), LARGEST_TILE // width))
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = pixels.shape[1:3]
    rows = -(-count // columns)
    picture = np.full((rows * (height + below + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    index = np.arange(count)
    x, y = index % columns * (width + GAP), index // columns * (height + below + GAP)
    for image, left, top in zip(pixels, x, y, strict=True):
        picture[top : top + height, left : left + width] = image
    return picture, np.stack([x, y, np.full(count, width), np.full(count, height)], axis=1)


def image_grid(images: np.ndarray, path: Path, columns: int) -> None:
    """Draws a grid of images (N, H, W, C), row by row."""
    save_picture(tile(images, columns)[0], path)


def rows(images: Sequence[np.ndarray], labels: Sequence[str], path: Path, headings: Sequence[str] = ()) -> None:
    """Draws labelled rows of equally many images.

    Used for reconstructions below their originals, attribute arithmetic (a row per attribute, a column per factor) and
    morphs (a row per pair).

    Args:
      images: one array (N, H, W, C) per row.
      labels: one text per row, to its left.
      path: of the PNG.
      headings: one text per column, above it; or none.
    """
    count = len(images[0])
    picture, boxes = tile(np.concatenate([np.asarray(row) for row in images]), count)
    labels = [fitted(label, WIDEST_LABEL) for label in labels]
    left = int(max(map(text_width, labels))) + 2 * MARGIN
    top = LINE + MARGIN if headings else 0
    texts = [
        Text(left - MARGIN, top + y + height / 2, label, "right")
        for label, (_, y, _, height) in zip(labels, boxes[::count], strict=True)
    ]
    texts += [
        Text(left + x + width / 2, top / 2, fitted(heading, width))
        for heading, (x, _, width, _) in zip(headings, boxes[:count], strict=bool(headings))
    ]
    save_picture(np.pad(picture, ((top, 0), (left, 0), (0, 0)), constant_values=255), path, texts)


def fitted(text: str, width: float) -> str:
    """Returns `text`, cut with an ellipsis if it is wider than `width` pixels."""
    if text_width(text) <= width:
        return text
    while text and text_width(text + "…") > width:
        text = text[:-1]
    return text + "…"


def predictions(images: np.ndarray, true: Sequence[str], predicted: Sequence[str], path: Path) -> None:
    """Draws images (N, H, W, C), ten per row, above their predicted class and, if that is wrong, the true class."""
    picture, boxes = tile(images, 10, below=2 * LINE + MARGIN)
    texts = []
    for (x, y, width, height), truth, guess in zip(boxes, true, predicted, strict=True):
        middle, line = x + width / 2, y + height + LINE * 0.75
        texts.append(Text(middle, line, fitted(guess, width), color=RIGHT if truth == guess else WRONG))
        if truth != guess:
            texts.append(Text(middle, line + LINE, fitted(f"true: {truth}", width), color=INK))
    save_picture(picture, path, texts)


def animation(frames: Sequence[np.ndarray], path: Path, frames_per_second: float, headings: Sequence[str] = ()) -> None:
    """Saves frames (H, W, C) as a looping GIF, with headings above, each centred in an equal share of the width."""
    arrays = [as_rgb(frame) for frame in frames]
    if headings:
        width = arrays[0].shape[1]
        share = width / len(headings)
        texts = [Text((i + 0.5) * share, LINE / 2, fitted(heading, share)) for i, heading in enumerate(headings)]
        above = np.asarray(with_texts(np.full((LINE, width, 3), 255, np.uint8), texts))
        arrays = [np.concatenate([above, array]) for array in arrays]
    pictures = [Image.fromarray(array) for array in arrays]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=round(1000 / frames_per_second), loop=0)
