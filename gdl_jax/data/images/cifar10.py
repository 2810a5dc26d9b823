"""CIFAR-10: 50,000 and 10,000 colour photographs of 32 x 32 in ten classes."""

import dataclasses
import itertools
import zlib
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.images import npz, tfds
from gdl_jax.data.images.arrays import Part, check
from gdl_jax.data.images.pixels import read_image, to_float
from gdl_jax.data.known import locate
from gdl_jax.data.numpy_files import read_arrays

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LAYOUTS = ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10/cifar10.npz", "cifar10.npz")
TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCHES = ("test_batch.bin",)
RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, green and blue plane
SPLITS = ("train", "test")
JPEG_NAMES = tuple(f"{split}_{part}" for split in SPLITS for part in ("jpeg", "offsets", "labels"))


def read_binary(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Reads images (N, 32, 32, 3) uint8 and labels (N,) of the official binary files, in their order.

    Raises:
      UserError: a file is missing, is not a whole number of records, or has a label above 9; names the file.
    """
    records = []
    for path in paths:
        try:
            contents = np.fromfile(path, np.uint8)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        if not contents.size or contents.size % RECORD_BYTES:
            raise UserError(f"{path}: not CIFAR-10's binary format (records of {RECORD_BYTES:,} bytes)")
        records.append(contents.reshape(-1, RECORD_BYTES))
        if (highest := records[-1][:, 0].max()) >= len(CLASSES):
            raise UserError(f"{path}: not CIFAR-10's binary format (a record has the label {highest})")
    rows = np.concatenate(records)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0]


def read_jpegs(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Decodes the JPEGs of an .npz, once: they are cached.

    Args:
      path: of the file, for messages.
      arrays: for each SPLIT (train, test), SPLIT_jpeg: the joined files, (bytes,) uint8; SPLIT_offsets: their limits,
        (N + 1,).

    Returns:
      {"train", "test"}: images (N, 32, 32, 3) uint8.

    Raises:
      UserError: offsets or JPEGs are damaged; names the file.
    """
    checksum = 0
    for split in SPLITS:
        contents, limits = arrays[f"{split}_jpeg"], arrays[f"{split}_offsets"]
        if contents.dtype != np.uint8 or limits.dtype.kind not in "iu" or limits.ndim != 1 or len(limits) < 2:
            raise UserError(f"{path}: {split}_jpeg must be bytes (uint8) and {split}_offsets (N + 1,) integers")
        for array in (contents, limits):
            checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
    name = f"cifar10-{checksum:08x}.npz"
    return cached_arrays(name, lambda: {split: _decode(path, arrays, split) for split in SPLITS})


def _decode(path: Path, arrays: dict[str, np.ndarray], split: str) -> np.ndarray:
    contents, limits = arrays[f"{split}_jpeg"].tobytes(), arrays[f"{split}_offsets"].tolist()
    images = [
        read_image(contents[first:last], where=f"{path}: {split} image {number}")
        for number, (first, last) in enumerate(itertools.pairwise(limits))
    ]
    if {image.shape for image in images} != {(32, 32, 3)}:
        raise UserError(f"{path}: the {split} images are not all of 32 x 32")
    return np.stack(images)


def _load_jpegs(path: Path, arrays: dict[str, np.ndarray], image_size: int | None) -> DataSet:
    if missing := set(JPEG_NAMES) - set(arrays):
        raise UserError(f"{path}: has no array {min(missing)}")
    images = read_jpegs(path, arrays)
    parts = [Part(f"{path}: {split}", images[split], arrays[f"{split}_labels"]) for split in SPLITS]
    note = "JPEG-compressed copy (quality 75), not the original pixels"
    return DataSet("cifar10", *check(parts, image_size, CLASSES).sources, transform=to_float, note=note)


def _load_binary(directory: Path, image_size: int | None) -> DataSet:
    parts = [
        Part(str(directory), *read_binary([directory / name for name in names]))
        for names in (TRAIN_BATCHES, TEST_BATCHES)
    ]
    return DataSet("cifar10", *check(parts, image_size, CLASSES).sources, transform=to_float)


def load(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """Loads CIFAR-10 from `data_dir`; no validation split.

    It may be the official binary files, an .npz of arrays or of JPEGs, or a TFDS set.

    Raises:
      UserError: not there, or not readable.
    """
    path = locate("cifar10", data_dir, LAYOUTS, "cifar10")
    if path is None:
        data = tfds.load("cifar10", data_dir, image_size)
    elif path.is_dir():
        data = _load_binary(path, image_size)
    elif "train_jpeg" in (arrays := read_arrays(path, (*npz.NAMES, *JPEG_NAMES))):
        data = _load_jpegs(path, arrays, image_size)
    else:
        data = npz.load(path, image_size, CLASSES)
    return dataclasses.replace(data, name="cifar10", classes=CLASSES, digest="")
