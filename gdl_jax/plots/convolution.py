"""Figure of the book's convolution demo (02_02)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap

from gdl_jax.plots.figure import COLORS, INK, drawing


def edge_maps(image: np.ndarray, filters: Mapping[str, np.ndarray], maps: Mapping[int, np.ndarray], path: Path) -> None:
    """Draws an image, filters, and the convolutions of the image with each filter at each stride.

    Args:
      image: (H, W).
      filters: name -> (kh, kw).
      maps: stride -> (number of filters, ceil(H / stride), ceil(W / stride)).
      path: of the PNG.
    """
    strength = max(np.abs(values).max() for values in maps.values())
    with drawing(path, 3.2 * (1 + len(maps)), 3.4 * len(filters), len(filters), 1 + len(maps)) as (_, axes):
        for cell in axes.flat:
            cell.set_axis_off()
        for i, (name, kernel) in enumerate(filters.items()):
            axes[i, 0].imshow(image, cmap="gray")
            axes[i, 0].set_title(f"Image ({image.shape[0]} × {image.shape[1]}) and filter")
            _kernel(axes[i, 0].inset_axes((0.03, 0.03, 0.34, 0.34)), kernel)
            for cell, (stride, values) in zip(axes[i, 1:], maps.items(), strict=True):
                cell.imshow(values[i], cmap="gray", vmin=-strength, vmax=strength)
                height, width = values[i].shape
                cell.set_title(f"{name.capitalize()} edges, stride {stride}: {height} × {width}")


def _kernel(axes, kernel: np.ndarray) -> None:
    """Draws the weights of a filter, positive ones on blue, negative ones on red."""
    axes.imshow(np.sign(kernel), cmap=ListedColormap([COLORS[2], "white", COLORS[0]]), vmin=-1, vmax=1)
    axes.set(xticks=[], yticks=[])
    for (i, j), weight in np.ndenumerate(kernel):
        axes.text(j, i, f"{weight:g}", ha="center", va="center", fontsize=8, color="white" if weight else INK)
