"""Arrays too large for memory, in numbered shards on disk: written whole or not at all, read through memory maps.

Shard 3 of a folder is `00003.json`, which says what belongs to it, and a file `00003.NAME.npy` for each array. The
JSON is written last: a kill leaves a shard that isn't there, never half of one.
"""

import json
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError

CHUNK = 2**24  # bytes of a checksum's reads


def _description(root: Path, number: int) -> Path:
    return root / f"{number:05d}.json"


def _array_file(root: Path, number: int, name: str) -> Path:
    return root / f"{number:05d}.{name}.npy"


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def write_shard(root: Path, number: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
    """Writes shard `number`, in place of what an earlier kill may have left of it.

    Args:
      root: the folder; made if it is missing.
      number: from 0.
      arrays: with the same first axis, its rows.
      notes: what a reader should know (JSON).

    Raises:
      UserError: the disk is full or the folder cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        checksums = {}
        for name, array in arrays.items():
            path = _array_file(root, number, name)
            np.save(path, array, allow_pickle=False)
            checksums[name] = _checksum(path)
        description = _description(root, number)
        partial = description.with_name(f"{description.name}.{uuid.uuid4().hex}.partial")
        partial.write_text(json.dumps({"checksums": checksums, "notes": dict(notes)}))
        partial.replace(description)
    except OSError as error:
        raise UserError(f"{root}: shard {number} cannot be written: {error.strerror}") from error


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
        raise UserError(f"{path}: missing; the stage that writes it makes it") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged; delete it, and the stage that wrote it makes it again") from error


def read_shard(root: Path, number: int) -> dict[str, np.ndarray]:
    """{name: array, a read-only memory map}, after comparing the files' checksums with those that were written.

    Raises:
      UserError: the shard or a file of it is missing or damaged; names the file.
    """
    arrays = {}
    for name, expected in _read_description(root, number)["checksums"].items():
        path = _array_file(root, number, name)
        try:
            if _checksum(path) != expected:
                raise ValueError("other bytes than were written")
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            reason = "missing" if isinstance(error, FileNotFoundError) else "damaged"
            again = f"delete {_description(root, number).name}, and the stage that wrote it makes it again"
            raise UserError(f"{path}: {reason}; {again}") from error
    return arrays


def count_shards(root: Path) -> int:
    """How many shards the folder has, counted from 0 without a gap.

    Raises:
      UserError: there is none, or one before the last is missing.
    """
    numbers = sorted(int(path.stem) for path in root.glob("[0-9][0-9][0-9][0-9][0-9].json"))
    if not numbers:
        raise UserError(f"{root}: no shards there; the stage before this one writes them")
    if numbers != list(range(len(numbers))):
        missing = next(i for i, number in enumerate(numbers) if i != number)
        raise UserError(f"{_description(root, missing)}: missing; the stage that writes it makes it")
    return len(numbers)
