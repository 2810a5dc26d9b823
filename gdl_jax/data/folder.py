"""Images in folders of any size: listed once, read when they are wanted."""

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.images import read_image, to_float

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
DEFAULT_SIZE = 64
SPLITS = ("train", "validation", "test")


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
    columns: Rows

    @property
    def nbytes(self) -> int:
        return len(self.names) * self.size * self.size * 3

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: np.ndarray) -> Rows:
        images = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        for i, index in enumerate(indices):
            images[i] = read_image(self.root / self.names[index], self.size)
        return {"image": images, **{name: column[indices] for name, column in self.columns.items()}}


def split_of(name: str) -> str:
    """The split of a file, by a hash of its name: 80 % train, 10 % validation, 10 % test, whatever else is there."""
    place = zlib.crc32(name.encode()) % 10
    return SPLITS[max(0, place - 7)]


def by_split(
    root: Path, names: Sequence[str], splits: Sequence[str], size: int, columns: Rows
) -> dict[str, ImageFiles]:
    """One source for each split.

    Raises:
      UserError: a split would be empty.
    """
    splits = np.asarray(splits)
    sources = {}
    for split in SPLITS:
        index = np.flatnonzero(splits == split)
        if not index.size:
            raise UserError(f"{root}: {len(names)} images are too few to hold some out for {split}")
        chosen = {name: column[index] for name, column in columns.items()}
        sources[split] = ImageFiles(root, [names[i] for i in index], size, chosen)
    return sources


def list_images(root: Path) -> list[str]:
    """The image files under `root`, in whatever depth, sorted by name relative to it.

    Raises:
      UserError: no such folder, or no image in it.
    """
    if not root.is_dir():
        raise UserError(f"--dataset=folder:{root}: no such folder")
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not names:
        raise UserError(f"--dataset=folder:{root}: no images in it ({', '.join(SUFFIXES)})")
    return names


def load_folder(root: Path, image_size: int | None = None) -> DataSet:
    """A folder of images; where all of them are in subfolders, these are classes."""
    names = list_images(root)
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    columns, classes = {}, ()
    if len(folders) > 1 and all("/" in name for name in names):
        place = {folder: i for i, folder in enumerate(folders)}
        columns = {"label": np.array([place[name.partition("/")[0]] for name in names], np.int32)}
        classes = tuple(folders)
    sources = by_split(root, names, [split_of(name) for name in names], image_size or DEFAULT_SIZE, columns)
    return DataSet(f"folder:{root}", **sources, transform=to_float, classes=classes)


def _attribute_table(path: Path) -> tuple[list[str], dict[str, list[int]]]:
    """Names of attributes, and -1 or 1 for each file, from CelebA's .txt or the .csv that is also around."""
    lines = path.read_text().splitlines()
    if path.suffix == ".csv":
        rows = list(csv.reader(lines))
        header, rows = rows[0][1:], rows[1:]
    else:
        header, rows = lines[1].split(), [line.split() for line in lines[2:]]
    try:
        table = {row[0]: [int(value) for value in row[1:]] for row in rows if row}
    except ValueError as error:
        raise UserError(f"{path}: an attribute is not a number: {error}") from error
    if not header or any(len(values) != len(header) for values in table.values()):
        raise UserError(f"{path}: rows with another number of attributes than the header has")
    return header, table


def load_celeba(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """CelebA: img_align_celeba/*.jpg with list_attr_celeba.txt or .csv, and list_eval_partition.txt or .csv if there.

    The official partition is kept where its file is there; otherwise files are split by their names. Attributes are
    0 or 1 (the files say -1 or 1).

    Raises:
      UserError: no images, no attributes, or files that don't match each other.
    """
    if data_dir is None:
        raise UserError(
            "--dataset=celeba needs --data_dir, a directory with img_align_celeba/ and list_attr_celeba.txt"
        )
    bases = [
        base
        for base in (Path(data_dir) / "celeba", Path(data_dir) / "celeb", Path(data_dir))
        if (base / "img_align_celeba").is_dir()
    ]
    if not bases:
        raise UserError(f"--data_dir={data_dir}: holds no img_align_celeba/ for --dataset=celeba")
    base, root = bases[0], bases[0] / "img_align_celeba"
    table_path = next(
        (base / f"list_attr_celeba{end}" for end in (".txt", ".csv") if (base / f"list_attr_celeba{end}").exists()),
        None,
    )
    if table_path is None:
        raise UserError(f"{base}: holds no list_attr_celeba.txt or list_attr_celeba.csv")
    attributes, table = _attribute_table(table_path)
    names = [name for name in list_images(root) if name.rpartition("/")[2] in table]
    if not names:
        raise UserError(f"{table_path}: names none of the images in {root}")
    keys = [name.rpartition("/")[2] for name in names]
    values = (np.array([table[key] for key in keys]) > 0).astype(np.int8)
    partition = next(
        (
            base / f"list_eval_partition{end}"
            for end in (".txt", ".csv")
            if (base / f"list_eval_partition{end}").exists()
        ),
        None,
    )
    if partition is None:
        splits = [split_of(key) for key in keys]
    else:
        pairs = [line.replace(",", " ").split() for line in partition.read_text().splitlines() if line.strip()]
        official = {pair[0]: pair[1] for pair in pairs}
        try:
            splits = [SPLITS[int(official[key])] for key in keys]
        except (KeyError, ValueError, IndexError) as error:
            raise UserError(f"{partition}: no split 0, 1 or 2 for {error}") from error
    sources = by_split(root, names, splits, image_size or DEFAULT_SIZE, {"attributes": values})
    return DataSet("celeba", **sources, transform=to_float, attributes=tuple(attributes))
