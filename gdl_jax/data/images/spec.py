"""Shapes of image data sets, for parameter counts and cost estimates without the data."""

from typing import Any

import numpy as np

from gdl_jax.data import catalogue
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images import avatar_drawings, avatars, domains, paired, unpaired
from gdl_jax.data.images.cifar10 import CLASSES as CIFAR10
from gdl_jax.data.images.digits import CLASSES as DIGITS
from gdl_jax.data.images.domain_folders import DEFAULT_SIZE, DOMAINS
from gdl_jax.data.images.domains import Paired, TwoDomains, Unpaired
from gdl_jax.data.images.pixels import to_float

CLASSES = {"digits": DIGITS, "mnist": DIGITS, "cifar10": CIFAR10}  # those of other sets are known from the data only
IMAGE_SHAPES = {"digits": (28, 28, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
DRAWING_SHAPE = (28, 28, 1)  # of quickdraw:NAME
FRAME_SHAPE = (64, 64, 3)  # of rollouts:PATH
STORED_SIZES = {"avatars": 128, "celeba": 218}  # celeba's images are 178 wide; any square size is a resize
ATTRIBUTES = {"avatars": avatars.ATTRIBUTES, "celeba": tuple(f"attribute {i}" for i in range(40))}


def image_data_spec(name: str, image_size: int) -> DataSet | None:
    """Returns a data set of one black image with the shape of data set `name`; None if the shape is not known.

    For a set of two domains, it is one row with a black image of each. The data set has classes and labels if they are
    known beforehand. Without them, the set may still have some.

    Args:
      name: as in `catalogue.load`.
      image_size: pixels a side; 0: as stored.
    """
    kind, _, drawing = name.partition(":")
    if kind in (*catalogue.PAIRED_KINDS, *catalogue.UNPAIRED_KINDS):
        return _two_domains(name, image_size) if catalogue.is_known(name) else None
    if name in IMAGE_SHAPES or (kind == "quickdraw" and drawing):
        height, width, channels = IMAGE_SHAPES.get(name, DRAWING_SHAPE)
        size = (image_size or height, image_size or width, channels)
    elif name in STORED_SIZES:
        size = (image_size or STORED_SIZES[name],) * 2 + (3,)
    elif kind == "rollouts" and drawing:
        size = FRAME_SHAPE
    else:
        return None
    rows = {"image": np.zeros((1, *size), np.uint8)}
    if name in CLASSES:
        rows["label"] = np.zeros(1, np.int32)
    attributes = ATTRIBUTES.get(name, ())
    if attributes:
        rows["attributes"] = np.zeros((1, len(attributes)), np.int8)
    source = ArraySource(rows)
    return DataSet(name, source, source, transform=to_float, classes=CLASSES.get(name, ()), attributes=attributes)


def two_domains_spec(name: str, image_size: int) -> TwoDomains | None:
    """Returns the spec of a data set of two domains, or of one that `domains.by_domains` divides into two.

    None if the shape is not known. Arguments as in `image_data_spec`.
    """
    data = image_data_spec(name, image_size)
    if data is None or isinstance(data, TwoDomains):
        return data
    return _with_rows_of(Unpaired(data.train, data.train), name, attributes=data.attributes)


def _two_domains(name: str, image_size: int) -> TwoDomains:
    """Returns the spec of a data set that has two domains of its own."""
    kind, _, drawn = name.partition(":")
    size = image_size or DEFAULT_SIZE
    image = ArraySource({"image": np.zeros((1, size, size, 3), np.uint8)})
    if kind in catalogue.UNPAIRED_KINDS:
        return _with_rows_of(Unpaired(image, image), name, domains=unpaired.KNOWN.get(name, DOMAINS))
    if kind != "drawings":
        names = paired.FACADES if name == "facades" else DOMAINS
        return _with_rows_of(Paired(image, image), name, domains=names, paired=True)
    attributes = {"attributes": np.zeros((1, len(avatars.ATTRIBUTES)), np.int8)}
    source = Paired(image, ArraySource(image.arrays | attributes))
    names = (avatar_drawings.KINDS[drawn], "avatars")
    return _with_rows_of(source, name, attributes=avatars.ATTRIBUTES, domains=names, paired=True)


def _with_rows_of(pairs: Unpaired | Paired, name: str, **fields: Any) -> TwoDomains:
    source = ArraySource(pairs.take(np.zeros(1, np.int64)))
    return TwoDomains(name, source, source, transform=domains.to_float, **fields)
