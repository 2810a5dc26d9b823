"""Strict JSON files (no NaN, no Infinity), written atomically, with one-line errors for damaged ones."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.paths import replacing


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _strict(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(one) for one in value]
    if isinstance(value, np.generic):
        return _strict(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def to_json(value: Any, indent: int | None = None) -> str:
    """Returns a value as ASCII JSON; floats that are NaN or infinite become null."""
    return json.dumps(_strict(value), indent=indent, allow_nan=False)


def from_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text, with NaN for each null, which stands for a number that was not finite.

    Raises:
      ValueError: the text is not JSON.
    """
    return _with_nan(json.loads(text))


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_nan(one) for one in value]
    return math.nan if value is None else value


def read_json(path: Path, parse: Callable[[bytes], Any] = json.loads) -> dict[str, Any]:
    """Returns the object in a file; {} if there is no file.

    Args:
      path: the file.
      parse: parser of its contents; `from_json` if null stands for a number that was not finite.

    Raises:
      UserError: the file can't be read, or its contents are not a JSON object.
    """
    try:
        contents = parse(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(contents, dict):
        raise UserError(f"{path}: is not a JSON object")
    return contents


def write_json(path: Path, value: Any) -> None:
    """Writes a file atomically, and creates its folder if necessary.

    Raises:
      UserError: the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(to_json(value, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error.strerror}") from error
