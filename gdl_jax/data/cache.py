"""Files made once and kept: `$GDL_JAX_CACHE`, or `~/.cache/gdl_jax`."""

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError


def cache_path(name: str) -> Path:
    """Where the cached file `name` is or will be; its directory exists.

    Raises:
      UserError: the directory can't be made.
    """
    directory = Path(os.environ.get("GDL_JAX_CACHE") or Path.home() / ".cache" / "gdl_jax")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"GDL_JAX_CACHE={directory}: cannot be made: {error.strerror}") from error
    return directory / name


def cached_arrays(name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of cache file `name` (an .npz), made by `make` if the file is missing or damaged.

    The file is written whole or not at all, so that a kill or a second process does no harm.

    Raises:
      UserError: the file can't be written.
    """
    path = cache_path(name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception:  # missing, truncated or not an npz at all: all mended by making it again
        arrays = dict(make())
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"GDL_JAX_CACHE={path.parent}: cannot be written: {error.strerror}") from error
    return arrays
