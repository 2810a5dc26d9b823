"""Images and labels in arrays: checked, resized, and labels of any values turned into indices of classes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import ArraySource, Rows, digest_of
from gdl_jax.data.files import printable
from gdl_jax.data.images.pixels import resize_all

KINDS = {"b": "integers", "i": "integers", "u": "integers", "f": "numbers", "U": "strings", "S": "strings"}


class Part(NamedTuple):
    """Images as they are stored, e.g. one split.

    Attributes:
      where: the file, and the array's name if it has several; begins error messages.
      images: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8.
      labels: (N,) or (N, 1), or None.
    """

    where: str
    images: np.ndarray
    labels: np.ndarray | None = None


class Checked(NamedTuple):
    """Images that are ready for use.

    Attributes:
      sources: rows "image" (N, H, W, C) uint8 and, if there are labels, "label" (N,) int32; one source for each part.
      classes: names of the labels' values; () if there are no labels.
      digest: fingerprint of images, labels and classes.
    """

    sources: list[ArraySource]
    classes: tuple[str, ...]
    digest: str


def check(parts: Sequence[Part], image_size: int | None = None, classes: Sequence[str] = ()) -> Checked:
    """Checks images and labels, and resizes the images.

    Labels may be integers, booleans, whole floats or strings. Without `classes`, each distinct value is a class, in
    ascending order.

    Args:
      parts: with images of one shape, and labels in all of them or in none.
      image_size: pixels a side; None: as stored.
      classes: names of the classes if they are known: labels must then be their indices, or the names themselves.

    Raises:
      UserError: other shapes, types or values; names the part.
    """
    images = [_check_images(part.where, part.images) for part in parts]
    if len({array.shape[1:] for array in images}) > 1:
        sizes = ", ".join(f"{part.where}: {array.shape[1:]}" for part, array in zip(parts, images, strict=True))
        raise UserError(f"images of different shapes: {sizes}")
    if len({part.labels is None for part in parts}) > 1:
        lacking = next(part.where for part in parts if part.labels is None)
        raise UserError(f"{lacking}: has no labels, but the other split has")
    columns, names = [{} for _ in parts], ()
    if parts[0].labels is not None:
        labels, names = _to_indices([(part.where, _check_labels(part)) for part in parts], classes)
        columns = [{"label": array} for array in labels]
    stored = [{"image": array} | column for array, column in zip(images, columns, strict=True)]
    digest = digest_of(_contents(stored, names))
    rows = [ArraySource(arrays | {"image": resize_all(arrays["image"], image_size)}) for arrays in stored]
    return Checked(rows, names, digest)


def as_text(array: np.ndarray) -> list[str]:
    """Returns the values of an array (K,) as strings that can be printed."""
    if array.dtype.kind == "S":
        return [value.decode(errors="backslashreplace") for value in array.tolist()]
    return [printable(str(value)) for value in array.tolist()]


def _contents(stored: Sequence[Rows], classes: Sequence[str]) -> Iterator[bytes | np.ndarray]:
    """Yields what a digest covers."""
    yield repr(tuple(classes)).encode()
    for arrays in stored:
        for name, array in arrays.items():
            yield repr((name, array.shape)).encode()
            yield np.ascontiguousarray(array)


def _check_images(where: str, images: np.ndarray) -> np.ndarray:
    """Returns images with a channel axis: (N, H, W, C)."""
    four = images[..., None] if images.ndim == 3 else images
    if four.ndim != 4 or four.dtype != np.uint8 or four.shape[-1] not in (1, 3) or not four.size:
        raise UserError(
            f"{where}: images must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), not {images.dtype} {images.shape}"
        )
    return four


def _check_labels(part: Part) -> np.ndarray:
    """Returns labels (N,) of int64, float64 or str."""
    labels, count = part.labels, len(part.images)
    if labels.shape not in ((count,), (count, 1)) or labels.dtype.kind not in KINDS:
        raise UserError(
            f"{part.where}: labels must be {count:,} integers or strings, not {labels.dtype} {labels.shape}"
        )
    labels = labels.reshape(-1)
    kind = labels.dtype.kind
    if kind in "SU":
        return np.array(as_text(labels))
    if kind == "f" and not (np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
        raise UserError(f"{part.where}: labels must be whole numbers or strings; one is not whole")
    if kind == "f" and np.abs(labels.astype(np.float64)).max() >= 2.0**63:
        raise UserError(f"{part.where}: a label is too large")
    if kind == "u" and labels.max() > np.iinfo(np.int64).max:
        raise UserError(f"{part.where}: the label {labels.max()} is too large")
    return labels.astype(np.int64)


def _to_indices(
    labels: Sequence[tuple[str, np.ndarray]], classes: Sequence[str]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Returns labels as indices of classes, int32, and the names of the classes.

    Args:
      labels: (place for messages, labels as `_check_labels` returns them) of each part.
      classes: the names, if known.
    """
    arrays = [array for _, array in labels]
    if len({array.dtype.kind for array in arrays}) > 1:
        raise UserError(f"{labels[0][0]}: labels of the splits are of different types")
    if not classes:
        values, indices = np.unique(np.concatenate(arrays), return_inverse=True)
        ends = np.cumsum([len(array) for array in arrays])[:-1]
        return np.split(indices.reshape(-1).astype(np.int32), ends), tuple(map(str, values.tolist()))
    if arrays[0].dtype.kind == "U":
        number = {name: i for i, name in enumerate(classes)}
        for where, array in labels:
            if unknown := set(array.tolist()) - number.keys():
                raise UserError(f"{where}: the label {min(unknown)!r} is none of the {len(classes)} classes")
        return [np.array([number[name] for name in array.tolist()], np.int32) for array in arrays], tuple(classes)
    for where, array in labels:
        if array.min() < 0 or array.max() >= len(classes):
            wrong = array.min() if array.min() < 0 else array.max()
            raise UserError(f"{where}: the label {wrong} is not in 0 to {len(classes) - 1} ({len(classes)} classes)")
    return [array.astype(np.int32) for array in arrays], tuple(classes)
