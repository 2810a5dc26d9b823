"""Folders of images: listed once, read lazily."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.files import describe_copies, describe_others, hash_contents, list_files, printable, scan
from gdl_jax.data.images.pixels import read_image, to_float

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
DEFAULT_SIZE = 64
SPLITS = ("train", "validation", "test")
DECODERS = 4  # threads; Pillow releases the interpreter's lock while it decodes


@cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")


def in_threads(count: int, read: Callable[[int], None]) -> None:
    """Calls `read` with 0, ..., count - 1, from several threads."""

    def read_some(rows: np.ndarray) -> None:
        for row in rows:
            read(row)

    list(_decoders().map(read_some, np.array_split(np.arange(count), DECODERS)))


@dataclass(frozen=True)
class ImageFiles:
    """Source whose images are files; only their names are in memory.

    Attributes:
      root: the folder.
      names: of the files, relative to it.
      size: images are squashed to size x size.
      columns: the other arrays of a row, each with a value for every file.
    """

    root: Path
    names: Sequence[str]
    size: int
    columns: Rows = field(default_factory=dict)
    labels_in_memory: ClassVar[bool] = True

    @property
    def nbytes(self) -> int:
        return len(self) * self.size * self.size * 3 + sum(column.nbytes for column in self.columns.values())

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: np.ndarray) -> Rows:
        """Reads the files at `indices`.

        Raises:
          UserError: one of them can't be read; names it.
        """
        images = np.empty((len(indices), self.size, self.size, 3), np.uint8)

        def read(row: int) -> None:
            images[row] = read_image(self.root / self.names[indices[row]], self.size)

        in_threads(len(indices), read)
        return {"image": images} | {name: column[indices] for name, column in self.columns.items()}

    def labels(self) -> np.ndarray:
        """Returns the column "label"; no file is read."""
        return self.columns["label"]

    def attribute_rows(self) -> np.ndarray:
        """Returns the column "attributes"; no file is read."""
        return self.columns["attributes"]


def split_of(name: str) -> str:
    """Returns the split of a file: 80 % train, 10 % validation, 10 % test, by a hash of its name alone."""
    place = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()) % 10
    return {8: "validation", 9: "test"}.get(place, "train")


def by_split(
    root: Path, names: Sequence[str], splits: Sequence[str], size: int, columns: Rows
) -> dict[str, ImageFiles]:
    """Returns one source for each split.

    Raises:
      UserError: a split would be empty.
    """
    of_file = np.asarray(splits)
    sources = {}
    for split in SPLITS:
        index = np.flatnonzero(of_file == split)
        if not index.size:
            raise UserError(f"{root}: too few images: none of the {len(names)} falls into the {split} split")
        chosen = {name: column[index] for name, column in columns.items()}
        sources[split] = ImageFiles(root, [names[i] for i in index], size, chosen)
    return sources


def list_images(root: Path) -> list[str]:
    """Returns the names of the image files under `root`, as `files.list_files` does."""
    return list_files(root, "images", SUFFIXES)


def load(root: Path, image_size: int | None = None) -> DataSet:
    """Loads a folder of images. If all of them are in two or more subfolders, these are the classes.

    Symbolic links are followed and hidden files are skipped (`files.scan`). A line on standard error and the data set's
    note mention files that are not images, and images with an exact copy in another split; copies are only looked for
    in folders of at most 10,000 images and 256 MiB.

    Raises:
      UserError: no such folder, too few images in it, or a folder or file in it that cannot be read.
    """
    listing = scan(root, "images", SUFFIXES)
    names = listing.names
    folders = sorted({name.partition("/")[0] if "/" in name else "" for name in names})
    columns, classes = {}, ()
    if len(folders) > 1 and folders[0]:
        number = {folder: i for i, folder in enumerate(folders)}
        columns = {"label": np.array([number[name.partition("/")[0]] for name in names], np.int32)}
        classes = tuple(map(printable, folders))
    splits = [split_of(name) for name in names]
    sources = by_split(root, names, splits, image_size or DEFAULT_SIZE, columns)
    contents = hash_contents(root, listing)
    notes = describe_others(listing.others), describe_copies(contents.hashes, splits)
    note = "; ".join(filter(None, notes))
    if note:
        sys.stderr.write(f"{printable(str(root))}: {note}\n")
    name = f"folder:{root}"
    return DataSet(name, **sources, transform=to_float, classes=classes, note=note, digest=contents.digest)
