"""Helpers that inspect PNG files."""

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image


def read(path):
    """Returns the pixels of a PNG, (H, W, 3) uint8."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def has_color(pixels, color, tolerance=0):
    """Returns a mask (H, W) of the pixels that have a colour, given as in matplotlib."""
    return np.abs(pixels - 255.0 * np.array(to_rgb(color))).max(-1) <= tolerance + 0.5


def box_of(pixels, color):
    """Returns (left, top, right, bottom) of the pixels of a colour, which must fill that rectangle."""
    y, x = np.nonzero(has_color(pixels, color))
    assert len(x), f"no pixel is {color}"
    left, top, right, bottom = x.min(), y.min(), x.max() + 1, y.max() + 1
    assert len(x) == (right - left) * (bottom - top)
    return left, top, right, bottom


def solid(colors, size=8):
    """Returns images (N, size, size, 3), one of each colour."""
    return np.broadcast_to(np.array([to_rgb(c) for c in colors])[:, None, None], (len(colors), size, size, 3))
