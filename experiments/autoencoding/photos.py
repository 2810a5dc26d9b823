"""Reconstructions, edits and morphs of a user's own images by an autoencoder."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.autoencoding import figures
from experiments.autoencoding.attribute_edits import attribute_vectors
from experiments.autoencoding.encoding import Coders
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.images.pixels import read_image
from gdl_jax.plots import images
from gdl_jax.runs.experiment import Run, SampleRequest
from gdl_jax.runs.images import image_spec
from gdl_jax.runs.pictures import PictureOptions, picture_files


def _edit(text: str) -> tuple[str, float]:
    """Returns (attribute, factor) of an edit such as Eyeglasses:2; without a colon, the factor is 1."""
    name, colon, factor = text.partition(":")
    try:
        value = float(factor) if colon else 1.0
    except ValueError as error:
        raise ConfigError("edit", text, "the factor after the colon is not a number") from error
    if not math.isfinite(value):
        raise ConfigError("edit", text, "the factor must be finite")
    return name, value


@dataclass(frozen=True, kw_only=True)
class PhotoOptions(PictureOptions):
    """Options for a user's own images.

    Raises:
      ConfigError: an image is missing; edits or morphs without images; an edit is not ATTRIBUTE:FACTOR.
    """

    edit: tuple[str, ...] = ()  # attributes to add, as in Eyeglasses:2,Smiling:-1
    morph: bool = False  # morph from each image to the next

    def __post_init__(self):
        super().__post_init__()
        for text in self.edit:
            _edit(text)
        for name in ("edit", "morph"):
            if getattr(self, name) and not self.images:
                raise ConfigError(name, getattr(self, name), "needs images")

    @property
    def edits(self) -> Mapping[str, float]:
        """The edits as {attribute: factor}."""
        return dict(map(_edit, self.edit))


def _read_photos(run: Run, paths: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Returns names and pixels (N, H, W, C) in [0, 1] of the images in files and folders."""
    files = picture_files(paths)
    _, height, width, channels = image_spec(run.data).shape
    if height != width:
        raise ConfigError("images", None, "supported by models of square images only")
    pixels = np.stack([read_image(file, height) for file in files]).astype(np.float32) / 255.0
    if channels == 1:
        pixels = pixels.mean(-1, keepdims=True)
    return [file.stem for file in files], pixels


def sample_photos(run: Run, coders: Coders, request: SampleRequest) -> list[Path]:
    """Writes reconstructions, edits and morphs of the given images.

    Raises:
      ConfigError: an edit of an attribute that the data set lacks; a morph of fewer than two images.
    """
    options: PhotoOptions = request.options
    names, pixels = _read_photos(run, options.images)
    mean, _ = coders.encode(pixels)
    columns, headings = [pixels, coders.decode(mean)], ["image", "decoded"]
    vectors = attribute_vectors(run, coders) if options.edits and run.data.attributes else {}
    for name, factor in options.edits.items():
        if name not in vectors:
            known = ", ".join(vectors) or "none: its data set has no attributes"
            raise ConfigError("edit", name, f"unknown attribute; the model has {known}")
        columns.append(coders.decode((mean + factor * vectors[name]).astype(np.float32)))
        headings.append(f"{name} {factor:+g}")
    written = [request.out / ("edited.png" if options.edits else "decoded.png")]
    images.rows(list(np.stack(columns, 1)), names, written[0], headings=headings)
    if options.morph:
        if len(names) < 2:
            raise ConfigError("morph", True, "needs at least two images")
        written.append(request.out / "morphs.png")
        figures.morphs(coders, list(itertools.pairwise(mean)), written[-1])
    return written
