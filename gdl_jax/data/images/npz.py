"""A user's own images and labels in an .npz."""

from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images.arrays import Part, as_text, check
from gdl_jax.data.images.pixels import to_float
from gdl_jax.data.numpy_files import read_arrays

SPLIT_NAMES = (("x_train", "y_train"), ("x_test", "y_test"))
IMAGE_NAMES = ("images", "image", "x")
LABEL_NAMES = ("labels", "label", "y")
CLASS_NAMES = ("classes",)
NAMES = ("x_train", "x_test", *IMAGE_NAMES, "y_train", "y_test", *LABEL_NAMES, *CLASS_NAMES)


def _first(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _parts(path: Path, arrays: dict[str, np.ndarray]) -> list[Part]:
    """Returns the training and the test images, or all images."""
    if "x_train" in arrays and "x_test" in arrays:
        return [Part(f"{path}: {images}", arrays[images], arrays.get(labels)) for images, labels in SPLIT_NAMES]
    if (images := _first(arrays, IMAGE_NAMES)) is None:
        raise UserError(f"{path}: needs arrays x_train and x_test, or images; it has {', '.join(arrays)}")
    return [Part(str(path), images, _first(arrays, LABEL_NAMES))]


def class_names(arrays: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Returns the names in the array "classes"; () if there is none."""
    return tuple(as_text(arrays["classes"].reshape(-1))) if "classes" in arrays else ()


def load(path: Path, image_size: int | None = None, classes: tuple[str, ...] = ()) -> DataSet:
    """Loads arrays x_train, x_test and perhaps y_train, y_test; or images (image, x) and perhaps labels (label, y).

    Without a test split, a tenth of the images, drawn with a fixed seed, is held out as one. Labels may be integers,
    whole floats or strings (`arrays.check`); an array "classes" names the values 0 to K - 1.

    Args:
      path: of the file.
      image_size: pixels a side; None: as stored.
      classes: names of the labels' values if they are known beforehand.

    Raises:
      UserError: no such file or arrays, or arrays of another shape or type; names the file.
    """
    arrays = read_arrays(path, NAMES)
    parts = _parts(path, arrays)
    sources, classes, digest = check(parts, image_size, classes or class_names(arrays))
    if len(sources) == 1:
        sources = _hold_out(path, sources[0])
    return DataSet(f"npz:{path}", *sources, transform=to_float, classes=classes, digest=digest)


def _hold_out(path: Path, rows: ArraySource) -> list[ArraySource]:
    """Returns the rows for training and those for testing."""
    if len(rows) < 2:
        raise UserError(f"{path}: one image is too few")
    order = np.random.default_rng(0).permutation(len(rows))
    held_out = max(1, len(rows) // 10)
    return [ArraySource(rows.take(np.sort(order[held_out:]))), ArraySource(rows.take(np.sort(order[:held_out])))]
