"""Shapes of image data sets, for parameter counts and cost estimates without the data."""

import numpy as np

from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images import avatars
from gdl_jax.data.images.cifar10 import CLASSES as CIFAR10
from gdl_jax.data.images.digits import CLASSES as DIGITS
from gdl_jax.data.images.pixels import to_float

CLASSES = {"digits": DIGITS, "mnist": DIGITS, "cifar10": CIFAR10}  # those of other sets are known from the data only
IMAGE_SHAPES = {"digits": (28, 28, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
DRAWING_SHAPE = (28, 28, 1)  # of quickdraw:NAME
FRAME_SHAPE = (64, 64, 3)  # of rollouts:PATH
STORED_SIZES = {"avatars": 128, "celeba": 218}  # celeba's images are 178 wide; any square size is a resize
ATTRIBUTES = {"avatars": avatars.ATTRIBUTES, "celeba": tuple(f"attribute {i}" for i in range(40))}


def image_data_spec(name: str, image_size: int) -> DataSet | None:
    """Returns a data set of one black image with the shape of data set `name`; None if the shape is not known.

    It has classes and labels if the set's classes are known beforehand. Without them, the set may still have some.

    Args:
      name: as in `catalogue.load`.
      image_size: pixels a side; 0: as stored.
    """
    kind, _, drawing = name.partition(":")
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
