"""CelebA: 202,599 faces with 40 attributes, as files of the authors' or Kaggle's layout, or from TFDS."""

import dataclasses
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.files import printable
from gdl_jax.data.images import tfds
from gdl_jax.data.images.folder import DEFAULT_SIZE, SPLITS, by_split, list_images, split_of
from gdl_jax.data.images.pixels import to_float
from gdl_jax.data.known import locate

LAYOUTS = ("celeba/img_align_celeba", "celeb/img_align_celeba", "img_align_celeba")


def _find_table(directory: Path, name: str) -> Path | None:
    return next((path for end in (".txt", ".csv") if (path := directory / f"{name}{end}").exists()), None)


def _read_lines(path: Path) -> list[list[str]]:
    """Returns the words of each non-empty line of the .txt (separated by spaces) or the .csv (commas)."""
    try:
        lines = path.read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not a text file'}") from error
    return [line.split() for line in lines if line.strip()]


def read_attributes(path: Path) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """Reads list_attr_celeba: names of attributes (A,), names of files (N,) and values (N, A) int8 in {0, 1}.

    Raises:
      UserError: the file cannot be read or has another format; names the line's image.
    """
    lines = _read_lines(path)
    if path.suffix == ".csv":
        header, rows = lines[:1], lines[1:]  # image_id,5_o_Clock_Shadow,...
        names = tuple(header[0][1:]) if header else ()
    else:
        header, rows = lines[1:2], lines[2:]  # the first line is the number of images
        names = tuple(header[0]) if header else ()
    if not names or not rows:
        raise UserError(f"{path}: no attributes in it")
    values = np.empty((len(rows), len(names)), np.int8)
    for i, (file, *signs) in enumerate(rows):
        if len(signs) != len(names) or not set(signs) <= {"-1", "1"}:
            raise UserError(f"{path}: {file} needs {len(names)} values, each -1 or 1")
        values[i] = [sign == "1" for sign in signs]
    return names, [row[0] for row in rows], values


def read_partition(path: Path, files: list[str]) -> list[str]:
    """Returns the official split of each file, from list_eval_partition.

    Raises:
      UserError: the file cannot be read, has another format, or does not list one of the files.
    """
    official = {row[0]: row[-1] for row in _read_lines(path)}
    split = {str(number): name for number, name in enumerate(SPLITS)}
    if wrong := next((file for file in files if official.get(file) not in split), None):
        found = official.get(wrong, "nothing")
        raise UserError(f"{path}: {printable(wrong)} needs a split 0, 1 or 2, not {found}")
    return [split[official[file]] for file in files]


def load(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """Loads CelebA with "attributes" in {0, 1} (-1 or 1 in the file); images are squashed to a square and read lazily.

    The splits are the official ones if list_eval_partition is there; otherwise files are split by their names.

    Raises:
      UserError: no images, no attributes, or files that do not match.
    """
    root = locate("celeba", data_dir, LAYOUTS, "celeb_a")
    if root is None:
        return dataclasses.replace(tfds.load("celeb_a", data_dir, image_size or DEFAULT_SIZE), name="celeba", digest="")
    table = _find_table(root.parent, "list_attr_celeba")
    if table is None:
        raise UserError(f"{root.parent}: has no list_attr_celeba.txt or list_attr_celeba.csv")
    paths = list_images(root)
    files = [path.rpartition("/")[2] for path in paths]
    attributes, listed, values = read_attributes(table)
    row_of = {file: row for row, file in enumerate(listed)}
    unlisted = next((file for file in files if file not in row_of), None)
    if unlisted is not None:
        raise UserError(f"{table}: has no attributes of {printable(unlisted)}")
    values = values[[row_of[file] for file in files]]
    partition = _find_table(root.parent, "list_eval_partition")
    splits = read_partition(partition, files) if partition else [split_of(file) for file in files]
    sources = by_split(root, paths, splits, image_size or DEFAULT_SIZE, {"attributes": values})
    return DataSet("celeba", **sources, transform=to_float, attributes=attributes)
