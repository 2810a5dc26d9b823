"""Images: from bytes on disk to uint8 arrays, and from those to what networks see."""

import io
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from PIL import Image, UnidentifiedImageError

from gdl_jax.core.errors import UserError


def to_float(rows: dict[str, Any]) -> dict[str, Any]:
    """A batch for a learner: "image" uint8 0..255 -> float32 in [0, 1], the rest as float32 or int32. Pure JAX."""
    batch = dict(rows, image=rows["image"].astype(jnp.float32) / 255.0)
    if "attributes" in rows:
        batch["attributes"] = rows["attributes"].astype(jnp.float32)
    return batch


def read_image(path: Path, size: int) -> np.ndarray:
    """An image file as RGB, squashed to size x size: (size, size, 3) uint8.

    Raises:
      UserError: the file is no image, or a damaged one.
    """
    try:
        with Image.open(path) as image:
            image.draft("RGB", (size, size))  # JPEG: decode at a fraction of the size where that is enough
            return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable image: {error}") from error


def decode_jpeg(contents: bytes) -> np.ndarray:
    """A JPEG as RGB: (H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


def resize_all(images: np.ndarray, size: int | None) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, size, size, C), bilinear with antialiasing; as they are where `size` is None."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    squeeze = images.shape[-1] == 1
    resized = [
        Image.fromarray(image[..., 0] if squeeze else image).resize((size, size), Image.Resampling.BILINEAR)
        for image in images
    ]
    return np.stack([np.asarray(image) for image in resized]).reshape(len(images), size, size, images.shape[-1])
