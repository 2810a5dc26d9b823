"""Pictures for neural style transfer: a user's files, or photographs that come with scikit-image.

Rows are alike: {"content": uint8 (N, H, W, 3), "style_0", "style_1", ...: uint8 (N, h, w, 3)} and, if there is a mask,
{"mask": uint8 (N, H, W)}, 255 where the picture gets the style.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import ArraySource, DataSet, digest_of
from gdl_jax.data.images.pixels import read_image

BUNDLED = {  # name -> file of scikit-image's wheel; others would have to be downloaded
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "immunohistochemistry": "ihc.png",
    "motorcycle": "motorcycle_left.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}


MAX_PIXELS = 2**26  # of a resized picture


def to_float(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a learner's batch: uint8 0..255 -> float32 in [0, 1]. Pure JAX."""
    return {name: array.astype(jnp.float32) / 255.0 for name, array in rows.items()}


def read_picture(field: str, name: str) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8.

    Args:
      field: of the config, for errors.
      name: one of BUNDLED, or the path of an image file.

    Raises:
      ConfigError: the file is missing or can't be read; names the field.
    """
    try:
        path = _bundled(BUNDLED[name]) if name in BUNDLED else Path(expand_user(name))
        if not path.is_file():
            what = "is a folder, not a picture" if path.is_dir() else "no such file"
            raise ConfigError(field, name, f"{what}; the bundled pictures are {', '.join(BUNDLED)}")
        return read_image(path)
    except ConfigError:
        raise
    except (UserError, ValueError) as error:
        raise ConfigError(field, name, str(error).removeprefix(f"{name}: ")) from error


def _bundled(file: str) -> Path:
    spec = importlib.util.find_spec("skimage")  # not imported, which takes seconds
    if spec is None or spec.origin is None:
        raise UserError("scikit-image, whose pictures these are, is not installed")
    return Path(spec.origin).parent / "data" / file


def with_height(picture: np.ndarray, height: int, field: str = "image_height") -> np.ndarray:
    """Resizes (H, W) or (H, W, 3) uint8 to a height, with the same aspect; Lanczos.

    Raises:
      ConfigError: the picture would have more than MAX_PIXELS; names the field.
    """
    if not height or len(picture) == height:
        return picture
    width = max(1, round(picture.shape[1] * height / len(picture)))
    if height * width > MAX_PIXELS:
        raise ConfigError(field, None, f"{width:,}x{height:,} pixels are too many; the most are {MAX_PIXELS:,}")
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _read_mask(name: str, shape: tuple[int, int]) -> np.ndarray:
    """Returns a mask (H, W) uint8 for a content picture of that shape."""
    mask = read_picture("mask", name)
    if mask.shape[:2] != shape:
        (height, width), (rows, columns) = mask.shape[:2], shape
        raise ConfigError("mask", name, f"has {width}x{height} pixels, but the content picture {columns}x{rows}")
    if not mask.any():
        raise ConfigError("mask", name, "is black everywhere; white is the part that gets the style")
    return np.asarray(Image.fromarray(mask).convert("L"))


def load(
    content: str, styles: Sequence[str], *, mask: str = "", height: int = 0, style_scale: float = 1.0, copies: int = 1
) -> DataSet:
    """Loads pictures for neural style transfer. All splits are the same: nothing can be held out.

    Args:
      content, mask: names or paths; a mask is as large as the content picture, white where it gets the style.
      styles: names or paths of at least one.
      height: of the content picture, which keeps its aspect; 0: its own.
      style_scale: height of the style pictures, relative to that; they keep their aspects.
      copies: number of rows.

    Raises:
      ConfigError: a picture is missing or can't be read, or the mask has another size; names content, style or mask.
    """
    if not styles:
        raise ConfigError("style", styles, "names no picture")
    whole = read_picture("content", content)
    pictures = {"content": with_height(whole, height)}
    style_height = max(1, round(style_scale * len(pictures["content"])))
    for number, name in enumerate(styles):
        pictures[f"style_{number}"] = with_height(read_picture("style", name), style_height, "style_scale")
    if mask:
        pictures["mask"] = with_height(_read_mask(mask, whole.shape[:2]), height)
    digest = digest_of(np.ascontiguousarray(picture) for picture in pictures.values())
    rows = ArraySource({name: np.repeat(picture[None], copies, axis=0) for name, picture in pictures.items()})
    name = f"{Path(content).stem} in the style of {' and '.join(Path(style).stem for style in styles)}"
    return DataSet(name, rows, rows, transform=to_float, digest=digest)
