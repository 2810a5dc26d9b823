"""Where the sets that are known by name lie in --data_dir."""

from collections.abc import Sequence
from pathlib import Path

from gdl_jax.core.errors import UserError


def locate(name: str, data_dir: str | None, layouts: Sequence[str], tfds_name: str) -> Path | None:
    """The first of `layouts` (paths inside data_dir) that exists; None where there is a prepared TFDS set instead.

    Raises:
      UserError: there is neither; names the flag and what is looked for.
    """
    wanted = f"{', '.join(layouts)} or the TFDS set {tfds_name}"
    if data_dir is None:
        raise UserError(f"--dataset={name}: needs --data_dir, a directory with {wanted}")
    directory = Path(data_dir)
    if not directory.is_dir():
        raise UserError(f"--data_dir={data_dir}: no such directory")
    for layout in layouts:
        if (directory / layout).exists():
            return directory / layout
    if any((directory / tfds_name).glob("*/dataset_info.json")):
        return None
    raise UserError(f"--data_dir={data_dir}: holds no {wanted} for --dataset={name}")
