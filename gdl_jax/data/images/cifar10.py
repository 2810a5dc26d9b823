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
from gdl_jax.data.images.pixels import read_image, to_float
from gdl_jax.data.known import locate

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LAYOUTS = ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10/cifar10.npz", "cifar10.npz")
TRAIN_BATCHES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_BATCHES = ("test_batch.bin",)
RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, green and blue plane


def read_binary(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) uint8 and labels (N,) of the official binary files, in their order.

    Raises:
      UserError: a file is missing or isn't a whole number of records.
    """
    records = []
    for path in paths:
        try:
            contents = np.fromfile(path, np.uint8)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        if not contents.size or contents.size % RECORD_BYTES:
            raise UserError(f"{path}: not CIFAR-10's binary format (records of {RECORD_BYTES:,} bytes)")
        records.append(contents.reshape(-1, RECORD_BYTES))
    rows = np.concatenate(records)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0]


def read_jpegs(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{"train", "test"}: images (N, 32, 32, 3) uint8 of an .npz that holds JPEGs, decoded once and cached.

    Arrays SPLIT_jpeg are the joined files, and SPLIT_offsets their N + 1 limits.

    Raises:
      UserError: offsets or JPEGs are damaged.
    """

    def decode(split: str) -> np.ndarray:
        contents, limits = arrays[f"{split}_jpeg"].tobytes(), arrays[f"{split}_offsets"].tolist()
        images = [
            read_image(contents[first:last], where=f"{path}: {split} image {number}")
            for number, (first, last) in enumerate(itertools.pairwise(limits))
        ]
        if {image.shape for image in images} != {(32, 32, 3)}:
            raise UserError(f"{path}: the {split} images are not all of 32 x 32")
        return np.stack(images)

    checksum = 0
    for part in ("train_jpeg", "train_offsets", "test_jpeg", "test_offsets"):
        checksum = zlib.crc32(np.ascontiguousarray(arrays[part]), checksum)
    return cached_arrays(f"cifar10-{checksum:08x}.npz", lambda: {split: decode(split) for split in ("train", "test")})


def _load_jpegs(path: Path, arrays: dict[str, np.ndarray], image_size: int | None) -> DataSet:
    missing = {f"{split}_{part}" for split in ("train", "test") for part in ("jpeg", "offsets", "labels")} - set(arrays)
    if missing:
        raise UserError(f"{path}: has no array {min(missing)}")
    images = read_jpegs(path, arrays)
    train, test = (
        npz.image_rows(f"{path}: {split}", images[split], arrays[f"{split}_labels"], image_size)
        for split in ("train", "test")
    )
    note = "JPEG-compressed copy (quality 75), not the original pixels"
    return DataSet("cifar10", train, test, transform=to_float, note=note)


def _load_binary(directory: Path, image_size: int | None) -> DataSet:
    train, test = (
        npz.image_rows(str(directory), *read_binary([directory / name for name in names]), image_size)
        for names in (TRAIN_BATCHES, TEST_BATCHES)
    )
    return DataSet("cifar10", train, test, transform=to_float)


def load(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """CIFAR-10 from `data_dir`: the official binary files, an .npz of arrays or of JPEGs, or TFDS; no validation split.

    Raises:
      UserError: not there, or not readable.
    """
    path = locate("cifar10", data_dir, LAYOUTS, "cifar10")
    if path is None:
        data = tfds.load("cifar10", data_dir, image_size)
    elif path.is_dir():
        data = _load_binary(path, image_size)
    elif "train_jpeg" in (arrays := npz.read(path)):
        data = _load_jpegs(path, arrays, image_size)
    else:
        data = npz.load(path, image_size)
    return dataclasses.replace(data, name="cifar10", classes=CLASSES)
