"""Places of the data sets known by name in a directory of data sets."""

from collections.abc import Sequence
from pathlib import Path

from gdl_jax.core.errors import ConfigError


def find(name: str, data_dir: str | None, layouts: Sequence[str]) -> Path:
    """Returns the first of `layouts` (paths inside data_dir) that exists.

    Raises:
      ConfigError: none does, or data_dir cannot be read; says what is looked for.
    """
    wanted = f"one of {', '.join(layouts)}"
    if (path := _first(name, data_dir, layouts, wanted)) is None:
        raise ConfigError("data_dir", data_dir, f"has none of {', '.join(layouts)} for dataset={name}")
    return path


def locate(name: str, data_dir: str | None, layouts: Sequence[str], tfds_name: str) -> Path | None:
    """Returns the first of `layouts` (paths inside data_dir) that exists; None if there is a prepared TFDS set instead.

    Raises:
      ConfigError: there is neither, or data_dir cannot be read; says what is looked for.
    """
    wanted = f"{', '.join(layouts)} or the TFDS set {tfds_name}"
    if (path := _first(name, data_dir, layouts, wanted)) is not None:
        return path
    if any(Path(data_dir, tfds_name).glob("*/dataset_info.json")):
        return None
    raise ConfigError("data_dir", data_dir, f"has no {wanted} for dataset={name}")


def _first(name: str, data_dir: str | None, layouts: Sequence[str], wanted: str) -> Path | None:
    if data_dir is None:
        raise ConfigError("dataset", name, f"needs data_dir, a directory with {wanted}")
    directory = Path(data_dir)
    try:
        if not directory.is_dir():
            raise ConfigError("data_dir", data_dir, "no such directory")
        return next((directory / layout for layout in layouts if (directory / layout).exists()), None)
    except OSError as error:
        raise ConfigError("data_dir", data_dir, f"cannot be read: {error.strerror}") from error
