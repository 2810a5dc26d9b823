"""The book's convolution demo (02_02), as a picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import new_figure, save


def edge_maps(image: np.ndarray, filters: Mapping[str, np.ndarray], maps: Mapping[int, np.ndarray], path: Path) -> None:
    """An image, and what each filter makes of it at each stride.

    Args:
      image: (H, W).
      filters: name -> (3, 3).
      maps: stride -> (number of filters, H / stride, W / stride).
      path: of the PNG.
    """
    figure, axes = new_figure(3 * (1 + len(filters)), 3.1 * len(maps), len(maps), 1 + len(filters))
    for line, (stride, found) in zip(axes, maps.items(), strict=True):
        line[0].imshow(image, cmap="gray")
        line[0].set_title(f"image, {image.shape[0]}x{image.shape[1]}")
        for cell, name, values in zip(line[1:], filters, found, strict=True):
            cell.imshow(values, cmap="gray")
            cell.set_title(f"{name} edges, stride {stride}: {values.shape[0]}x{values.shape[1]}")
    for cell in axes.flat:
        cell.set_axis_off()
    save(figure, path)
