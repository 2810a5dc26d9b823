"""Images: from bytes on disk to uint8 arrays, and from those to what networks see."""

import io
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from gdl_jax.core.errors import UserError


def to_float(rows: dict[str, Any]) -> dict[str, Any]:
    """A batch for a learner: "image" uint8 0..255 -> float32 in [0, 1], "attributes" -> float32. Pure JAX."""
    batch = dict(rows, image=rows["image"].astype(jnp.float32) / 255.0)
    if "attributes" in rows:
        batch["attributes"] = rows["attributes"].astype(jnp.float32)
    return batch


def resize(image: np.ndarray, size: int | None) -> np.ndarray:
    """(H, W, C) uint8 -> (size, size, C), bilinear with antialiasing; as it is where `size` is None."""
    if size is None or image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    resized = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
    return resized.reshape(size, size, image.shape[-1])


def resize_all(images: np.ndarray, size: int | None) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, size, size, C), as `resize` does it."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    return np.stack([resize(image, size) for image in images])


def read_image(file: Path | bytes, size: int | None = None, where: str | Path | None = None) -> np.ndarray:
    """An image as RGB, upright, squashed to size x size: (size, size, 3) uint8; in its own size where that is None.

    Args:
      file: path of an image file, or the bytes of one.
      size: pixels a side.
      where: what the error message names; the path by default.

    Raises:
      UserError: unreadable, damaged, no image, or more than 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"pixels of mode {image.mode}")  # convert("RGB") would clip them to white
            if size is not None:
                image.draft(None, (size, size))  # JPEG: decode at a fraction of the size where that is enough
            ImageOps.exif_transpose(image, in_place=True)
            image = image.convert("RGB")
            if size is not None and image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(image)
    except Exception as error:  # damaged bytes make Pillow's decoders raise almost anything
        reason = getattr(error, "strerror", None) or "damaged, or not an image with 8 bits a channel"
        raise UserError(f"{where or file}: cannot be read: {reason}") from error
