"""A user's own pictures, for samplers that take them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gdl_jax.core.config_flags import IsPath
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.images.folder import list_images
from gdl_jax.runs.experiment import SampleOptions


@dataclass(frozen=True, kw_only=True)
class PictureOptions(SampleOptions):
    """Options of a sampler that takes pictures.

    Raises:
      ConfigError: a picture is missing.
    """

    # your own image files or folders, in place of samples or images of the data set
    images: Annotated[tuple[str, ...], IsPath()] = ()

    def __post_init__(self):
        super().__post_init__()
        for path in self.images:
            if not Path(path).exists():
                raise ConfigError("images", path, "no such file or folder")


def picture_files(paths: Sequence[str]) -> list[Path]:
    """Returns the images in folders, then the files.

    Raises:
      UserError: a folder has no images, or cannot be read.
    """
    places = [Path(path) for path in paths]
    files = [place / name for place in places if place.is_dir() for name in list_images(place)]
    return files + [place for place in places if not place.is_dir()]


def unused(path: Path, used: Collection[Path]) -> Path:
    """Returns a path that is none of `used`, with a number before its suffix if need be."""
    number, free = 1, path
    while free in used:
        number += 1
        free = path.with_stem(f"{path.stem}_{number}")
    return free
