"""Translations of held-out images, and of a user's own pictures of any size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
from PIL import Image

from gdl_jax.core.config_flags import AtLeast, IsPath, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.images.folder import list_images
from gdl_jax.data.images.pixels import read_image
from gdl_jax.models.cyclegan import DIRECTIONS
from gdl_jax.plots.images import as_rgb
from gdl_jax.runs.experiment import SampleOptions

Translate = Callable[[jax.Array, jax.Array], jax.Array]  # (1, H, W, C) in [-1, 1], a key (1,) -> (1, H, W, C')


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(SampleOptions):
    """Options for a user's own pictures.

    Raises:
      ConfigError: a picture is missing.
    """

    # image files or folders to translate at their own size; empty: held-out images of the data set
    images: Annotated[tuple[str, ...], IsPath()] = ()
    # direction in which they are translated; domains as they were in training
    direction: Annotated[str, OneOf(*DIRECTIONS)] = "AtoB"
    longest_side: Annotated[int, AtLeast(0)] = 0  # shrink pictures to this many pixels on the longer side; 0: don't

    def __post_init__(self):
        super().__post_init__()
        for path in self.images:
            if not Path(path).exists():
                raise ConfigError("images", path, "no such file or folder")


def padded(image: np.ndarray, stride: int) -> np.ndarray:
    """Returns a picture (H, W, C), mirrored at its lower and right edges.

    Both sides become multiples of `stride`, and at least twice as much: innermost features have several positions.
    """
    sides = [max(2, -(-side // stride)) * stride - side for side in image.shape[:2]]
    return np.pad(image, [(0, side) for side in sides] + [(0, 0)], mode="symmetric")


def translate_picture(translate: Translate, image: np.ndarray, stride: int, key: jax.Array) -> np.ndarray:
    """Returns a translated picture, (H, W, C) in [0, 1] -> (H, W, C') in [0, 1], for any H and W."""
    height, width, _ = image.shape
    translated = translate(2.0 * padded(image, stride)[None] - 1.0, key[None])
    return (np.asarray(translated)[0, :height, :width] + 1.0) / 2.0


def translate_files(
    translate: Translate, stride: int, options: TranslateOptions, channels: int, key: jax.Array, out: Path
) -> list[Path]:
    """Writes a translated picture for each of a user's pictures, and returns their paths.

    Args:
      translate: the generator, compiled once for each size of picture.
      stride: number by which its images' sides must be divisible.
      options: the pictures and the direction.
      channels: of the generator's input, 1 or 3.
      key: of the generator's randomness.
      out: directory to write to.

    Raises:
      UserError: a picture can't be read.
    """
    written: list[Path] = []
    for number, file in enumerate(_files(options.images)):
        picture = Image.fromarray(read_image(file))
        if 0 < options.longest_side < max(picture.size):
            picture.thumbnail((options.longest_side,) * 2, Image.Resampling.BICUBIC)
        pixels = np.asarray(picture, np.float32) / 255.0
        pixels = pixels if channels == 3 else pixels.mean(axis=-1, keepdims=True)
        result = translate_picture(translate, pixels, stride, jax.random.fold_in(key, number))
        path = out / f"{file.stem}_{options.direction}.png"
        written.append(_unused(path, written))
        rgb = np.repeat(result, 3 // result.shape[-1], axis=-1)  # `as_rgb` would invert grey
        Image.fromarray(as_rgb(rgb)).save(written[-1])
    return written


def _unused(path: Path, used: Sequence[Path]) -> Path:
    """Returns a path that is none of `used`, with a number before its suffix if need be."""
    number, unused = 1, path
    while unused in used:
        number += 1
        unused = path.with_stem(f"{path.stem}_{number}")
    return unused


def _files(paths: Sequence[str]) -> list[Path]:
    """Returns the images in files and folders."""
    places = [Path(path) for path in paths]
    files = [place / name for place in places if place.is_dir() for name in list_images(place)]
    return files + [place for place in places if not place.is_dir()]
