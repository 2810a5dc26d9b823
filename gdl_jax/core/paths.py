"""Paths given by users."""

from pathlib import Path


def expand_user(path: str) -> str:
    """Returns a path with a leading `~` or `~user` replaced by that home directory; others unchanged.

    Raises:
      ValueError: there is no such user, or the home directory is unknown.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}") from error
