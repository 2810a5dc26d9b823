"""Arrays too large for memory, in numbered shards on disk: written whole or not at all, read through memory maps.

Shard 3 of a folder is `00003.json`, which says what belongs to it, and a file `00003.NAME.npy` for each array. The
JSON is written last: a kill leaves a shard that isn't there, never half of one.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.dataset import digest_of

CHUNK = 2**24  # bytes of a checksum's reads


def _description(root: Path, number: int) -> Path:
    return root / f"{number:05d}.json"


def _array_file(root: Path, number: int, name: str) -> Path:
    return root / f"{number:05d}.{name}.npy"


def _checksum(path: Path) -> int:
    """Raises OSError."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def write_shard(
    root: Path, number: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any], of: int = 0
) -> None:
    """Writes shard `number`, in place of what an earlier kill may have left of it.

    Args:
      root: the folder; made if it is missing.
      number: from 0.
      arrays: with the same first axis, its rows.
      notes: what a reader should know (JSON).
      of: how many shards the folder is to have; 0 where nobody knows. A folder that has fewer is not read.

    Raises:
      UserError: the disk is full or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        checksums = {}
        for name, array in arrays.items():
            path = _array_file(root, number, name)
            with _partial(path).open("wb") as file:
                np.save(file, array, allow_pickle=False)
            checksums[name] = _checksum(_partial(path))
            _partial(path).replace(path)
        description = _description(root, number)
        _partial(description).write_text(json.dumps({"checksums": checksums, "notes": dict(notes), "of": of}))
        _partial(description).replace(description)
    except OSError as error:
        raise UserError(f"{root}: shard {number} cannot be written: {error.strerror or error}") from error


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def has_shard(root: Path, number: int) -> bool:
    """Whether shard `number` was written to its end."""
    return _description(root, number).is_file()


def read_notes(root: Path, number: int) -> dict[str, Any]:
    """The notes of a shard.

    Raises:
      UserError: it is missing or its JSON is damaged.
    """
    return _read_description(root, number)["notes"]


def _read_description(root: Path, number: int) -> dict[str, Any]:
    path = _description(root, number)
    try:
        contents = json.loads(path.read_text())
        if not isinstance(contents["checksums"], dict) or not isinstance(contents["notes"], dict):
            raise ValueError
        return contents
    except FileNotFoundError as error:
        raise UserError(f"{path}: missing; run again what writes it") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; delete it and run again what wrote it") from error


def _mapped(path: Path) -> np.memmap:
    """The file's array, read-only.

    Raises:
      UserError: it is missing, shorter or longer than its header says, or cannot be opened.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if path.stat().st_size != array.offset + array.nbytes:
            raise ValueError
        return array
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise _lost(path, "missing" if isinstance(error, FileNotFoundError) else "damaged") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _lost(path: Path, how: str) -> UserError:
    description = path.with_name(f"{path.name.partition('.')[0]}.json")
    return UserError(f"{path}: {how}; delete {description} and run again what wrote it")


@dataclass(frozen=True)
class OnDisk:
    """An array of a shard. It is open only while it is read: a process may have few files open at a time.

    Attributes:
      path: of the file.
      shape, dtype: of the array.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype

    def open(self) -> np.memmap:
        """The array, read-only.

        Raises:
          UserError: it is not there any more, or damaged.
        """
        return _mapped(self.path)


def open_shard(root: Path, number: int) -> dict[str, OnDisk]:
    """{name: array}, without reading them: a file of another size than its header says is noticed, but for other bytes
    there is `check_shard`.

    Raises:
      UserError: the shard or a file of it is missing or damaged; names the file.
    """
    arrays = {}
    for name in _read_description(root, number)["checksums"]:
        array = _mapped(_array_file(root, number, name))
        arrays[name] = OnDisk(_array_file(root, number, name), array.shape, array.dtype)
    return arrays


def check_shard(root: Path, number: int) -> dict[str, OnDisk]:
    """`open_shard`, after comparing the checksums of all files with those that were written.

    Raises:
      UserError: the shard or a file of it is missing or damaged; names the file.
    """
    checksums, arrays = _read_description(root, number)["checksums"], open_shard(root, number)
    for name, array in arrays.items():
        try:
            found = _checksum(array.path)
        except OSError as error:
            raise UserError(f"{array.path}: cannot be read: {error.strerror or error}") from error
        if found != checksums[name]:
            raise _lost(array.path, "damaged")
    return arrays


def check_shards(root: Path) -> None:
    """`check_shard` of all shards of a folder."""
    for number in progress_bar(range(count_shards(root)), unit="shards", desc=f"checking {root}"):
        check_shard(root, number)


def read_shard(root: Path, number: int) -> dict[str, np.ndarray]:
    """{name: array, a read-only memory map} of a shard that has been checked.

    Raises:
      UserError: as `check_shard`.
    """
    return {name: array.open() for name, array in check_shard(root, number).items()}


def digest(root: Path, number: int | None = None) -> str:
    """Twelve characters that tell the contents of a shard, or of all shards of a folder, from others.

    Raises:
      UserError: one is missing or its JSON is damaged.
    """
    numbers = range(count_shards(root)) if number is None else [number]
    checksums = [_read_description(root, i)["checksums"] for i in numbers]
    return digest_of([json.dumps(checksums, sort_keys=True).encode()])


def count_shards(root: Path) -> int:
    """How many shards the folder has, counted from 0 without a gap.

    Raises:
      UserError: there is none, or one is missing.
    """
    numbers = sorted(int(path.stem) for path in root.glob("[0-9][0-9][0-9][0-9][0-9].json"))
    if not numbers:
        raise UserError(f"{root}: no shards there; first run what writes them")
    if numbers != list(range(len(numbers))):
        missing = next(i for i, number in enumerate(numbers) if i != number)
        raise UserError(f"{_description(root, missing)}: missing; run again what writes it")
    whole = max(_read_description(root, number).get("of", 0) for number in numbers)
    if len(numbers) < whole:
        raise UserError(f"{root}: has {len(numbers)} of {whole} shards; run again what writes them")
    return len(numbers)
