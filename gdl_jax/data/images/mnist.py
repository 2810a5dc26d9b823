"""MNIST: 60,000 and 10,000 handwritten digits of 28 x 28."""

import dataclasses

from gdl_jax.data.dataset import DataSet
from gdl_jax.data.images import npz, tfds
from gdl_jax.data.known import locate

LAYOUTS = ("mnist/mnist.npz", "mnist.npz")  # arrays x_train, y_train, x_test, y_test, as Keras has them
CLASSES = tuple("0123456789")


def load(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """Loads MNIST from `data_dir`; no validation split.

    Raises:
      UserError: not there, or not readable.
    """
    path = locate("mnist", data_dir, LAYOUTS, "mnist")
    data = npz.load(path, image_size, CLASSES) if path else tfds.load("mnist", data_dir, image_size)
    return dataclasses.replace(data, name="mnist", classes=CLASSES, digest="")
