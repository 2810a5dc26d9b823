"""Grids of images with captions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import INK, QUIET, Text, save_picture
from gdl_jax.plots.images import LINE, MARGIN, fitted, tile


def captioned(images: np.ndarray, captions: Sequence[Sequence[str]], path: Path, columns: int) -> None:
    """Draws a grid of images, each above its caption.

    Args:
      images: (N, H, W, C) in [0, 1].
      captions: lines of text of each image, equally many. The first is emphasised; all are cut to the image's width.
      path: of the PNG.
      columns: images per row.
    """
    lines = len(captions[0])
    picture, boxes = tile(images, columns, below=lines * LINE + MARGIN)
    texts = [
        Text(x + width / 2, y + height + (i + 0.75) * LINE, fitted(line, width), color=QUIET if i else INK)
        for (x, y, width, height), caption in zip(boxes, captions, strict=True)
        for i, line in enumerate(caption)
    ]
    save_picture(picture, path, texts)
