"""Arrays that are computed once and kept in files: in `$GDL_JAX_CACHE`, or `~/.cache/gdl_jax`."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.paths import expand_user, replacing

VARIABLE = "GDL_JAX_CACHE"


@cache
def _warn(reason: str) -> None:
    """Writes a line to standard error, once for each reason."""
    sys.stderr.write(f"{VARIABLE}: {reason}; nothing is cached, so it will be computed again\n")


def _directory() -> Path | None:
    """Returns the cache directory, which exists; None, after a warning, if it cannot be made or written."""
    directory = os.environ.get(VARIABLE) or "~/.cache/gdl_jax"
    try:
        path = Path(expand_user(directory))
        path.mkdir(parents=True, exist_ok=True)
    except UserError as error:
        _warn(str(error))
    except OSError as error:
        _warn(f"{directory} cannot be made ({error.strerror})")
    else:
        return path
    return None


def cached_arrays(name: str, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the arrays of cache file `name` (an .npz), made by `make` if the file is missing or damaged.

    The file is written completely or not at all, so a kill or a second process does no harm. If it cannot be written, a
    line on standard error says so and the arrays are returned all the same.
    """
    directory = _directory()
    if directory is None:
        return dict(make())
    path = directory / name
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception:  # missing, cut off or not an .npz: making it again mends all of them
        arrays = dict(make())
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        _warn(f"{directory} cannot be written ({error.strerror or error})")
    return arrays
