"""Images: decoded from files to uint8 RGB arrays, resized, and converted to a network's floats."""

import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from gdl_jax.core.errors import UserError

MAX_PIXELS = 2**29  # of one decoded image, 1.6 GB in RGB
Image.MAX_IMAGE_PIXELS = None  # Pillow's limit, 179 million, is below large photos; `read_image` checks the one above
UPRIGHT = {  # EXIF orientation -> the transposition that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
GREY_MODES = ("1", "L", "LA", "La", "I", "F")
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # TIFF tags, and a value of the second


class Header(NamedTuple):
    """Facts in the first bytes of an image file.

    Attributes:
      width, height: in pixels, of the upright image.
      grey: True if the file stores no colours.
    """

    width: int
    height: int
    grey: bool


class _Unsupported(ValueError):
    """An image that is whole, but cannot be converted to 8-bit RGB; the message says why."""


def to_float(rows: dict[str, Any]) -> dict[str, Any]:
    """Returns a learner's batch: "image" uint8 0..255 -> float32 in [0, 1], "attributes" -> float32. Pure JAX."""
    batch = dict(rows, image=rows["image"].astype(jnp.float32) / 255.0)
    if "attributes" in rows:
        batch["attributes"] = rows["attributes"].astype(jnp.float32)
    return batch


def resize(image: np.ndarray, size: int | None) -> np.ndarray:
    """Resizes (H, W, C) uint8 to (size, size, C), bilinear with antialiasing; no change if `size` is None."""
    if size is None or image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    resized = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return resized.reshape(size, size, image.shape[-1])


def resize_all(images: np.ndarray, size: int | None) -> np.ndarray:
    """Resizes (N, H, W, C) uint8 to (N, size, size, C), as `resize` does."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    return np.stack([resize(image, size) for image in images])


def read_image(file: Path | bytes, size: int | None = None, where: str | Path | None = None) -> np.ndarray:
    """Reads an image as RGB.

    Transparent pixels are composed on white, before resizing. The EXIF orientation is applied; damaged EXIF data are
    ignored. 16-bit grey is scaled to 8 bits. Of an animation or a TIFF of several pages, the first frame is read. ICC
    profiles are ignored. A large JPEG is decoded at a fraction of its size where that is enough.

    Args:
      file: path of an image file, or its bytes.
      size: pixels a side; the image is squashed to a square. None: its own size.
      where: name for the error message; the path by default.

    Returns:
      (size, size, 3) uint8, or (H, W, 3) if `size` is None.

    Raises:
      UserError: the file is unreadable, damaged, no image, larger than MAX_PIXELS, or has 32 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            if size is not None:
                image.draft(None, (size, size))
            if math.prod(image.size) > MAX_PIXELS:
                width, height = image.size
                raise _Unsupported(f"{width:,} x {height:,} pixels are more than the limit of {MAX_PIXELS:,}")
            image.load()
            upright = UPRIGHT.get(_orientation(image))
            image = _to_rgb(image)
        if upright is not None:
            image = image.transpose(upright)
        if size is not None and image.size != (size, size):
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(image)
    except Exception as error:  # damaged bytes make Pillow's decoders raise almost anything
        raise UserError(f"{where or file}: cannot be read: {_reason(error)}") from error


def read_header(path: Path) -> Header:
    """Returns the size of an image file and whether it is grey, without decoding its pixels.

    Raises:
      UserError: the file is unreadable or no image.
    """
    try:
        with Image.open(path) as image:
            grey = image.mode in GREY_MODES or image.mode.startswith("I;16")
            sideways = _orientation(image) in (5, 6, 7, 8)
            width, height = image.size[::-1] if sideways else image.size
            return Header(width, height, grey)
    except Exception as error:  # damaged bytes make Pillow raise almost anything
        raise UserError(f"{path}: cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, _Unsupported):
        return str(error)
    if isinstance(error, MemoryError):
        return "too large for the memory"
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged"
    return getattr(error, "strerror", None) or "damaged or cut off"


def _orientation(image: Image.Image) -> int | None:
    """Returns the EXIF orientation, 1 to 8; None if there is none or the EXIF data are damaged."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a good photo may carry any bytes as EXIF data
        return None
    return found if isinstance(found, int) else None


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded image to 8-bit RGB, composed on white where it is transparent.

    Raises:
      ValueError: its pixels have no fixed range (32-bit integers or floats).
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        raise _Unsupported("its pixels have 32 bits, whose range is unknown; save it with 8 or 16 bits a channel")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in key)  # of 16-bit pixels, which Pillow reads as 8-bit
    colors = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(colors, mask=colors)
    return canvas


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scales grey of 9 to 16 bits to RGB of 8 bits a channel."""
    values = np.asarray(image).astype(np.uint32)
    tags = getattr(image, "tag_v2", {})
    highest = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = highest - values
    grey = ((values * 255 + highest // 2) // highest).astype(np.uint8)
    if isinstance(key := image.info.get("transparency"), int):
        grey[values == key] = 255
    return Image.fromarray(grey).convert("RGB")
