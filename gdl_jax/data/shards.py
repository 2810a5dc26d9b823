"""Arrays too large for memory, in numbered shards on disk: written atomically, read through memory maps.

Shard 3 of a folder is `00003.json`, which lists its arrays, and a file `00003.NAME.npy` for each array. The JSON is
written last, so a killed process leaves a missing shard, never half of one.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.paths import replacing
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.dataset import digest_of

CHUNK = 2**24  # bytes per read when a checksum is computed


def _description(root: Path, number: int) -> Path:
    return root / f"{number:05d}.json"


def _array_file(root: Path, number: int, name: str) -> Path:
    return root / f"{number:05d}.{name}.npy"


def _checksum(path: Path) -> int:
    """Returns a file's CRC-32. Raises OSError."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def write_shard(
    root: Path, number: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any], of: int = 0
) -> None:
    """Writes shard `number`, replacing any files that a killed process left of it.

    Args:
      root: the folder; created if it is missing.
      number: from 0.
      arrays: {name: array}, all with the same first axis.
      notes: metadata for readers (JSON).
      of: number of shards that the folder will have; 0: unknown. Reading a folder with fewer is an error.

    Raises:
      UserError: the disk is full or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        checksums = {}
        for name, array in arrays.items():
            with replacing(_array_file(root, number, name), alone=True) as partial:
                with partial.open("wb") as file:
                    np.save(file, array, allow_pickle=False)
                checksums[name] = _checksum(partial)
        with replacing(_description(root, number), alone=True) as partial:
            partial.write_text(json.dumps({"checksums": checksums, "notes": dict(notes), "of": of}))
    except OSError as error:
        raise UserError(f"{root}: shard {number} cannot be written: {error.strerror or error}") from error


def has_shard(root: Path, number: int) -> bool:
    """True if shard `number` was written completely."""
    return _description(root, number).is_file()


def read_notes(root: Path, number: int) -> dict[str, Any]:
    """Returns the notes of a shard.

    Raises:
      UserError: it is missing or its JSON is damaged; names the file.
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
        raise UserError(f"{path}: missing; rerun the command that writes it") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; delete it and rerun the command that wrote it") from error


def _mapped(path: Path) -> np.memmap:
    """Opens the file's array, read-only.

    Raises:
      UserError: the file is missing, has another size than its header implies, or cannot be opened.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if path.stat().st_size != array.offset + array.nbytes:
            raise ValueError
        return array
    except (FileNotFoundError, AttributeError, ValueError, EOFError) as error:  # AttributeError: a zip file
        raise _lost(path, "missing" if isinstance(error, FileNotFoundError) else "damaged") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _lost(path: Path, how: str) -> UserError:
    description = path.with_name(f"{path.name.partition('.')[0]}.json")
    return UserError(f"{path}: {how}; delete {description} and rerun the command that wrote it")


@dataclass(frozen=True)
class OnDisk:
    """Array of a shard. It is opened for each read only, because a process may have few files open at a time.

    Attributes:
      path: of the file.
      shape, dtype: of the array.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype

    def open(self) -> np.memmap:
        """Opens the array, read-only.

        Raises:
          UserError: the file has gone or is damaged.
        """
        return _mapped(self.path)


def open_shard(root: Path, number: int) -> dict[str, OnDisk]:
    """Returns {name: array} without reading the arrays.

    The size of each file is compared with its header; `check_shard` verifies the contents.

    Raises:
      UserError: the shard or one of its files is missing or damaged; names the file.
    """
    arrays = {}
    for name in _read_description(root, number)["checksums"]:
        array = _mapped(_array_file(root, number, name))
        arrays[name] = OnDisk(_array_file(root, number, name), array.shape, array.dtype)
    return arrays


def check_shard(root: Path, number: int) -> dict[str, OnDisk]:
    """Verifies the checksums of all files of a shard; returns it as `open_shard` does.

    Raises:
      UserError: the shard or one of its files is missing or damaged; names the file.
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
    """Verifies all shards of a folder; see `check_shard`."""
    for number in progress_bar(range(count_shards(root)), unit="shards", desc=f"checking {root}"):
        check_shard(root, number)


def read_shard(root: Path, number: int) -> dict[str, np.ndarray]:
    """Verifies a shard and returns {name: array, a read-only memory map}.

    Raises:
      UserError: as in `check_shard`.
    """
    return {name: array.open() for name, array in check_shard(root, number).items()}


def digest(root: Path, number: int | None = None) -> str:
    """Returns the fingerprint of a shard's arrays, or of all shards of a folder: twelve hexadecimal digits.

    Raises:
      UserError: a shard is missing or its JSON is damaged.
    """
    numbers = range(count_shards(root)) if number is None else [number]
    checksums = [_read_description(root, i)["checksums"] for i in numbers]
    return digest_of([json.dumps(checksums, sort_keys=True).encode()])


def count_shards(root: Path) -> int:
    """Returns the number of shards in a folder.

    Raises:
      UserError: there is none, one is missing, or the folder cannot be read.
    """
    try:
        numbers = sorted(int(path.stem) for path in root.iterdir() if re.fullmatch(r"[0-9]{5}\.json", path.name))
    except (FileNotFoundError, NotADirectoryError):
        numbers = []
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror}") from error
    if not numbers:
        raise UserError(f"{root}: no shards there; first run the command that writes them")
    if numbers != list(range(len(numbers))):
        missing = next(i for i, number in enumerate(numbers) if i != number)
        raise UserError(f"{_description(root, missing)}: missing; rerun the command that writes it")
    whole = max(_read_description(root, number).get("of", 0) for number in numbers)
    if len(numbers) < whole:
        raise UserError(f"{root}: has {len(numbers)} of {whole} shards; rerun the command that writes them")
    return len(numbers)
