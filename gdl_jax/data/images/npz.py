"""Arrays of a user's own: any .npz with images."""

from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images.pixels import resize_all, to_float

IMAGE_NAMES = ("images", "image", "x")
LABEL_NAMES = ("labels", "label", "y")


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; nothing is unpickled.

    Raises:
      UserError: the file is missing, damaged, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile, zlib and NumPy each have their own exceptions for damaged bytes
        reason = getattr(error, "strerror", None) or f"not a readable .npz without pickles ({type(error).__name__})"
        raise UserError(f"{path}: {reason}") from error


def image_rows(where: str, images: np.ndarray, labels: np.ndarray | None, image_size: int | None = None) -> ArraySource:
    """Rows from images (N, H, W) or (N, H, W, C) uint8 and labels (N,) or (N, 1), integers from 0.

    Raises:
      UserError: other shapes, types or values; `where` names the file.
    """
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3) or not images.size:
        raise UserError(
            f"{where}: images must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), not {images.dtype} {images.shape}"
        )
    rows = {"image": resize_all(images, image_size)}
    if labels is not None:
        if labels.shape not in ((len(images),), (len(images), 1)) or not np.issubdtype(labels.dtype, np.integer):
            raise UserError(f"{where}: labels must be {len(images)} integers, not {labels.dtype} {labels.shape}")
        if labels.min() < 0:
            raise UserError(f"{where}: labels must count from 0; there is {labels.min()}")
        rows["label"] = labels.reshape(-1).astype(np.int32)
    return ArraySource(rows)


def _first(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _splits(path: Path, arrays: dict[str, np.ndarray], image_size: int | None) -> tuple[ArraySource, ArraySource]:
    if "x_train" in arrays and "x_test" in arrays:
        train = image_rows(f"{path}: train", arrays["x_train"], arrays.get("y_train"), image_size)
        test = image_rows(f"{path}: test", arrays["x_test"], arrays.get("y_test"), image_size)
        return train, test
    if (images := _first(arrays, IMAGE_NAMES)) is None:
        raise UserError(f"{path}: needs arrays x_train and x_test, or images; it has {', '.join(arrays)}")
    rows = image_rows(str(path), images, _first(arrays, LABEL_NAMES), image_size)
    if len(rows) < 2:
        raise UserError(f"{path}: one image is too few")
    order = np.random.default_rng(0).permutation(len(rows))
    held_out = max(1, len(rows) // 10)
    return ArraySource(rows.take(np.sort(order[held_out:]))), ArraySource(rows.take(np.sort(order[:held_out])))


def load(path: Path, image_size: int | None = None) -> DataSet:
    """Arrays x_train, x_test and perhaps y_train, y_test; or images (image, x) and perhaps labels (label, y).

    Where there is no test split, a tenth of the images, drawn with a fixed seed, is held out as one.

    Raises:
      UserError: no such arrays, or arrays of another shape or type.
    """
    train, test = _splits(path, read(path), image_size)
    if train.arrays["image"].shape[1:] != test.arrays["image"].shape[1:]:
        raise UserError(f"{path}: x_train and x_test have images of different shapes")
    if train.arrays.keys() != test.arrays.keys():
        raise UserError(f"{path}: labels for one of x_train and x_test only")
    labels = [split.arrays["label"].max() for split in (train, test) if "label" in split.arrays]
    classes = tuple(str(label) for label in range(max(labels) + 1)) if labels else ()
    return DataSet(f"npz:{path}", train, test, transform=to_float, classes=classes)
