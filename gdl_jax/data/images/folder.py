"""Images in folders of any size: listed once, read when they are wanted."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.images.pixels import read_image, to_float

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
DEFAULT_SIZE = 64
SPLITS = ("train", "validation", "test")
DECODERS = 4  # threads; Pillow lets go of the interpreter while it decodes


@cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")


@dataclass(frozen=True)
class ImageFiles:
    """Rows whose images are files: what is in memory is their names.

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

        def read(rows: np.ndarray) -> None:
            for row in rows:
                images[row] = read_image(self.root / self.names[indices[row]], self.size)

        list(_decoders().map(read, np.array_split(np.arange(len(indices)), DECODERS)))
        return {"image": images} | {name: column[indices] for name, column in self.columns.items()}

    def labels(self) -> np.ndarray:
        """The column "label"; no file is read."""
        return self.columns["label"]


def split_of(name: str) -> str:
    """The split of a file, by a hash of its name: 80 % train, 10 % validation, 10 % test, whatever else is there."""
    place = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()) % 10
    return {8: "validation", 9: "test"}.get(place, "train")


def by_split(
    root: Path, names: Sequence[str], splits: Sequence[str], size: int, columns: Rows
) -> dict[str, ImageFiles]:
    """One source for each split.

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


def list_files(root: Path, kind: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files under `root` with these endings, however deep, sorted by relative name; hidden ones are passed over.

    Args:
      root: the folder.
      kind: what they are called in messages.
      suffixes: in lower case, with their dots.

    Raises:
      UserError: no such folder, or no such file in it.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder of {kind}")
    names = []
    for directory, subdirectories, files in os.walk(root):
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        inside = Path(directory).relative_to(root)
        names += [
            (inside / name).as_posix() for name in files if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    if not names:
        raise UserError(f"{root}: no {kind} in it ({', '.join(suffixes)})")
    return sorted(names)


def list_images(root: Path) -> list[str]:
    """The image files under `root`; see `list_files`."""
    return list_files(root, "images", SUFFIXES)


def load(root: Path, image_size: int | None = None) -> DataSet:
    """A folder of images; where all of them are in two or more subfolders, these are classes.

    Raises:
      UserError: no such folder, or too few images in it.
    """
    names = list_images(root)
    folders = sorted({name.partition("/")[0] if "/" in name else "" for name in names})
    columns, classes = {}, ()
    if len(folders) > 1 and folders[0]:
        number = {folder: i for i, folder in enumerate(folders)}
        columns = {"label": np.array([number[name.partition("/")[0]] for name in names], np.int32)}
        classes = tuple(folders)
    sources = by_split(root, names, [split_of(name) for name in names], image_size or DEFAULT_SIZE, columns)
    return DataSet(f"folder:{root}", **sources, transform=to_float, classes=classes)
