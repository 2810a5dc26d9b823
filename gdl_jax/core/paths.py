"""Paths given by users, and files that are replaced atomically."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gdl_jax.core.errors import ConfigError, UserError


def expand_user(path: str, field: str = "", value: Any = None) -> str:
    """Returns a path with a leading `~` or `~user` replaced by that home directory; others unchanged.

    Args:
      path: the path.
      field: field of a config that the path comes from; '' if there is none.
      value: the field's whole value; None: the path.

    Raises:
      UserError: there is no such user, or the home directory is unknown; a ConfigError if `field` is given.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        if field:
            raise ConfigError(field, path if value is None else value, str(error)) from error
        raise UserError(f"{path}: {error}") from error


@contextmanager
def replacing(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yields the path of a new file, which replaces `path` when the block ends; if the block fails, it is deleted.

    A reader finds the old file or the new one, complete. The new file is in the same folder, which must exist.

    Args:
      path: the file to write.
      alone: True if only one process at a time writes it. The new file then has a fixed name, so that the next writer
        overwrites what a killed one left; otherwise each writer has its own.
    """
    partial = path.with_name(f"{path.name}.partial" if alone else f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
