"""Drawings of avatars, paired with the avatars: outlines, or label maps with one flat colour for each part of the face.

As in book figure 9-15: from a drawing (domain A), pix2pix predicts the picture (domain B).
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.images import avatars
from gdl_jax.data.images.domains import Paired, TwoDomains, to_float
from gdl_jax.data.images.folder import SPLITS

VERSION = 1  # of the drawings; part of the cache file's name
KINDS = {"edges": "drawings", "labels": "label maps"}  # kind -> name of domain A
BLOCK = 100  # images whose outlines are drawn at once

FULL_CONTRAST = 60.0  # change of a colour channel, per pixel, at which an outline is darkest
DARKEST = 0.85  # of black
DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))  # (down, right) to the next pixel along 0, 45, 90 and 135 degrees

PAPER = (255, 255, 255)
COLORS = {  # part -> its colour in a label map
    "skin": "#f4c2a0",
    "hair": "#7a4a21",
    "clothes": "#3b6fd4",
    "mouth": "#d0342c",
    "eyes": "#30b050",
    "glasses": "#202020",
    "hat": "#8e44ad",
}
PARTS = {  # beginning of an element's id -> the part that it and its children are; the longest one counts
    "py-avataaars-main-body": "skin",
    "py-avataaars-clothes": "clothes",
    "py-avataaars-face-mouth": "mouth",
    "py-avataaars-face-eyes": "eyes",
    "py-avataaars-face-eyebrow": "hair",
    "py-avataaars-top": "hair",
    "py-avataaars-top-hat": "hat",
    "py-avataaars-top-winter-hat": "hat",
    "py-avataaars-top-facial-hair": "hair",
    "py-avataaars-top-accessories": "glasses",
}
NOSE = "py-avataaars-face-nose"  # a shadow on the skin
SHADING = ("fill-opacity", "opacity", "filter", "style")  # attributes that a flat drawing does without


def outline(images: np.ndarray) -> np.ndarray:
    """Draws outlines, thin dark lines on white, where the colours of images change.

    A line is where Sobel's gradient, of the channel in which it is largest, is a maximum along its own direction (Canny
    1986); the larger the gradient, the darker the line.

    Args:
      images: (N, H, W, C) uint8.

    Returns:
      (N, H, W, 3) uint8.
    """
    blocks = np.split(images, range(BLOCK, len(images), BLOCK))
    return np.concatenate([_outline(block.astype(np.float32)) for block in blocks])


def _outline(images: np.ndarray) -> np.ndarray:
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    across = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4  # smoothed down the columns
    along = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    right, down = across[:, :, 2:] - across[:, :, :-2], along[:, 2:] - along[:, :-2]
    strongest = np.argmax(right**2 + down**2, axis=-1)[..., None]
    right, down = (np.take_along_axis(part, strongest, -1)[..., 0] for part in (right, down))
    size = np.hypot(right, down)
    sector = np.round(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    around = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    is_line = np.zeros(size.shape, bool)
    for number, (y, x) in enumerate(DIRECTIONS):
        after = around[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        before = around[:, 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        is_line |= (sector == number) & (size >= after) & (size > before)
    darkness = DARKEST * np.minimum(size / FULL_CONTRAST, 1) * is_line
    return np.repeat(np.round(255 * (1 - darkness)).astype(np.uint8)[..., None], 3, axis=-1)


def draw_labels(factors: Mapping[str, str], size: int) -> np.ndarray:
    """Draws an avatar's label map: (size, size, 3) uint8; each pixel is white or has one of COLORS.

    Args:
      factors: as in `avatars.svg_of`.
      size: pixels a side.
    """
    root = ElementTree.fromstring(avatars.svg_of(factors))
    _color(root, None)
    flat = ElementTree.tostring(root, encoding="unicode")
    return avatars.rasterize(flat, size, PAPER, shape_rendering="crisp_edges")


def _color(element: ElementTree.Element, part: str | None) -> None:
    """Gives an SVG element and its children the colours of their parts, and removes shading and the nose."""
    name = element.get("id", "")
    part = PARTS[max(found, key=len)] if (found := [start for start in PARTS if name.startswith(start)]) else part
    for attribute in SHADING:
        element.attrib.pop(attribute, None)
    if part is not None:
        element.set("fill", COLORS[part])
    for child in list(element):
        if child.get("id", "").startswith(NOSE):
            element.remove(child)
        else:
            _color(child, part)


def load(kind: str, count: int = 10_000, image_size: int = 128, seed: int = 0) -> TwoDomains:
    """Loads `count` pairs of a drawing and its avatar: 80 % train, 10 % validation, 10 % test, as in `avatars.load`.

    Rows have the avatars' "attributes", too. Drawings are made once and cached.

    Args:
      kind: one of KINDS.
      count: at least 10.
      image_size: pixels a side.
      seed: of the faces.

    Raises:
      ConfigError: unknown kind; names dataset.
    """
    if kind not in KINDS:
        raise ConfigError("dataset", f"drawings:{kind}", f"unknown; choose drawings:{' or drawings:'.join(KINDS)}")
    data = avatars.load(count, image_size, seed)
    sources = {split: getattr(data, split) for split in SPLITS}

    def draw() -> dict[str, np.ndarray]:
        if kind == "edges":
            return {split: outline(source.arrays["image"]) for split, source in sources.items()}
        drawn = avatars.render_all(avatars.draw_factors(count, seed), image_size, draw_labels, "label maps of avatars")
        ends = np.cumsum([len(source) for source in sources.values()])[:-1]
        return dict(zip(sources, np.split(drawn, ends), strict=True))

    drawings = cached_arrays(f"drawings-{kind}-{VERSION}-{avatars.VERSION}-{count}-{image_size}-{seed}.npz", draw)
    pairs = {split: Paired(ArraySource({"image": drawings[split]}), source) for split, source in sources.items()}
    return TwoDomains(
        f"drawings:{kind}",
        **pairs,
        transform=to_float,
        attributes=data.attributes,
        note=data.note,
        domains=(KINDS[kind], "avatars"),
        paired=True,
    )
