"""Paths given by users."""

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
