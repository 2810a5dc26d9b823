"""Readers of text and JSON files in UTF-8, or in UTF-16 or UTF-32 with a byte-order mark."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gdl_jax.core.encodings import encoding_of
from gdl_jax.core.errors import UserError
from gdl_jax.core.paths import expand_user
from gdl_jax.data import known


def reason(error: OSError) -> str:
    """Returns why a file cannot be read or written, without its name."""
    return error.strerror or type(error).__name__


def is_folder(path: Path) -> bool:
    """True if `path` is a folder; False also where its name cannot be looked up (too long, no permission, ...)."""
    try:
        return path.is_dir()
    except OSError:
        return False


def find(dataset: str, data_dir: str | None, layouts: Sequence[str]) -> Path:
    """Returns the first of `layouts`, paths inside data_dir, that exists; `~` in data_dir is replaced.

    Raises:
      UserError: none does, or data_dir cannot be read; names what is looked for.
    """
    return known.find(dataset, None if data_dir is None else expand_user(data_dir), layouts)


def files_of(place: Path, suffix: str, dataset: str) -> list[Path]:
    """Returns the file `place`, or the files of a folder that end in `suffix` (in any case), sorted.

    Raises:
      UserError: the folder cannot be read or has no such file.
    """
    if not is_folder(place):
        return [place]
    try:
        files = sorted(path for path in place.iterdir() if path.suffix.lower() == suffix and path.name[0] != ".")
    except OSError as error:
        raise UserError(f"{place}: cannot be read: {reason(error)}") from error
    if not files:
        raise UserError(f"{place}: holds no {suffix} file for dataset={dataset}")
    return files


def read(path: Path) -> str:
    """Returns the text of a file; see `decode`.

    Raises:
      UserError: the file cannot be read, is in another encoding, is binary or is empty.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error
    return decode(contents, str(path))


def decode(contents: bytes, name: str) -> str:
    """Decodes a text; its line ends become newlines.

    It is UTF-8 unless a byte-order mark names UTF-16 or UTF-32. Other encodings are refused rather than guessed.

    Raises:
      UserError: the text is in another encoding, binary or empty; names `name`, the line and the byte.
    """
    encoding, mark = encoding_of(contents)
    body = contents[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding, errors="ignore")
        where = f"{name}: line {before.count(chr(10)) + 1}, byte {len(mark) + error.start}"
        convert = "" if mark else "; convert it, e.g. with iconv -f WINDOWS-1252 -t UTF-8"
        raise UserError(f"{where}: not {encoding.upper()}{convert}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{name}: line {line}: a NUL character: a binary file, or UTF-16 without its byte-order mark")
    if not text.strip():
        raise UserError(f"{name}: an empty text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def without_surrogates(text: str) -> str:
    """Returns a text with question marks for surrogates, which stand for a command line's undecodable bytes."""
    return text.encode(errors="replace").decode()


def read_json(path: Path) -> Any:
    """Returns the value in a JSON file.

    Raises:
      UserError: as `read`; or the file is no JSON, nested too deeply, or has an integer of thousands of digits.
    """
    text = read(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}: not a readable JSON: {error.msg}") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a readable JSON: nested too deeply") from error
    except ValueError as error:
        raise UserError(f"{path}: not a readable JSON: a number has too many digits") from error
