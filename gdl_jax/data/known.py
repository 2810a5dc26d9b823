"""Where the sets that are known by name lie in a directory of data sets."""

from collections.abc import Sequence
from pathlib import Path

from gdl_jax.core.errors import ConfigError


def locate(name: str, data_dir: str | None, layouts: Sequence[str], tfds_name: str) -> Path | None:
    """Returns the first of `layouts` (paths inside data_dir) that exists; None where there is a prepared TFDS set.

    Raises:
      ConfigError: there is neither; says what is looked for.
    """
    wanted = f"{', '.join(layouts)} or the TFDS set {tfds_name}"
    if data_dir is None:
        raise ConfigError("dataset", name, f"needs data_dir, a directory with {wanted}")
    directory = Path(data_dir)
    if not directory.is_dir():
        raise ConfigError("data_dir", data_dir, "no such directory")
    for layout in layouts:
        if (directory / layout).exists():
            return directory / layout
    if any((directory / tfds_name).glob("*/dataset_info.json")):
        return None
    raise ConfigError("data_dir", data_dir, f"holds no {wanted} for dataset={name}")
