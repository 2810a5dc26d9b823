"""Translations of held-out images, and of a user's own pictures of any size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
from PIL import Image

from gdl_jax.core.config_flags import AtLeast, OneOf
from gdl_jax.data.images.pixels import read_image
from gdl_jax.models.cyclegan import DIRECTIONS
from gdl_jax.plots.images import as_rgb, image_grid
from gdl_jax.runs.pictures import PictureOptions, picture_files, unused

Translate = Callable[[jax.Array, jax.Array], jax.Array]  # (1, H, W, C) in [-1, 1], a key (1,) -> (1, H, W, C')


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(PictureOptions):
    """Options of translation; pictures keep their own size."""

    # direction in which they are translated; domains as they were in training
    direction: Annotated[str, OneOf(*DIRECTIONS)] = "AtoB"
    longest_side: Annotated[int, AtLeast(0)] = 0  # shrink pictures to this many pixels on the longer side; 0: don't


def draw_translations(pictures: np.ndarray, translated: np.ndarray, path: Path) -> None:
    """Draws a grid of images (N, H, W, C) in [0, 1], each followed by its translation."""
    both = np.stack([pictures, translated], axis=1)
    image_grid(both.reshape(-1, *pictures.shape[1:]), path, columns=8)


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


def read_pictures(options: TranslateOptions, channels: int) -> Iterator[tuple[Path, np.ndarray]]:
    """Yields a user's pictures: (file, (H, W, channels) in [0, 1]).

    Raises:
      UserError: a picture can't be read.
    """
    for file in picture_files(options.images):
        picture = Image.fromarray(read_image(file))
        if 0 < options.longest_side < max(picture.size):
            picture.thumbnail((options.longest_side,) * 2, Image.Resampling.BICUBIC)
        pixels = np.asarray(picture, np.float32) / 255.0
        yield file, pixels if channels == 3 else pixels.mean(axis=-1, keepdims=True)


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
    for number, (file, pixels) in enumerate(read_pictures(options, channels)):
        result = translate_picture(translate, pixels, stride, jax.random.fold_in(key, number))
        path = out / f"{file.stem}_{options.direction}.png"
        written.append(unused(path, written))
        rgb = np.repeat(result, 3 // result.shape[-1], axis=-1)  # `as_rgb` would invert grey
        Image.fromarray(as_rgb(rgb)).save(written[-1])
    return written
