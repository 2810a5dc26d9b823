"""JSON files of a run: a damaged one is one clear line, and none is ever half written."""

import json
from pathlib import Path
from typing import Any

from gdl_jax.core.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; {} if there is no file.

    Raises:
      UserError: it can't be read, or holds no JSON object.
    """
    try:
        contents = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(contents, dict):
        raise UserError(f"{path}: holds no JSON object")
    return contents


def write_json(path: Path, value: Any) -> None:
    """Writes a file that is whole or not there at all, and makes its folder.

    Raises:
      UserError: it can't be written.
    """
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(value, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error.strerror}") from error
