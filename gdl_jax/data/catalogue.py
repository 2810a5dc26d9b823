"""Data sets by name."""

import dataclasses
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data import arrays, digits, folder, tfds
from gdl_jax.data.dataset import DataSet, Subset

NAMES = {
    "digits": "5,000 MNIST digits, bundled",
    "avatars": "cartoon faces with exact attributes, bundled",
    "mnist": "mnist/mnist.npz in --data_dir",
    "cifar10": "cifar-10-batches-bin/ or cifar10/cifar10.npz in --data_dir",
    "celeba": "img_align_celeba/ and list_attr_celeba.txt in --data_dir",
    "folder:PATH": "a folder of images",
    "npz:PATH": "arrays x_train, x_test (y_train, y_test), or images (labels)",
    "tfds:NAME": "a prepared set of TensorFlow Datasets",
}


def _load_whole(name: str, data_dir: str | None, image_size: int | None, count: int) -> DataSet:
    kind, _, rest = name.partition(":")
    if name == "digits":
        return digits.load(image_size)
    if name == "avatars":
        from gdl_jax.data import avatars

        return avatars.load(count, image_size or 128)
    if name == "mnist":
        return arrays.load_mnist(data_dir, image_size)
    if name == "cifar10":
        return arrays.load_cifar10(data_dir, image_size)
    if name == "celeba":
        return folder.load_celeba(data_dir, image_size)
    if kind == "folder" and rest:
        return folder.load_folder(Path(rest), image_size)
    if kind == "npz" and rest:
        return arrays.load_npz(Path(rest), image_size)
    if kind == "tfds" and rest:
        return tfds.load(rest, data_dir, image_size)
    raise UserError(f"--dataset={name}: unknown; choose one of {', '.join(NAMES)}")


def load(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int | None = None,
    train_examples: int | None = None,
    validation_examples: int = 0,
    avatars: int = 10_000,
) -> DataSet:
    """The data set `name`.

    Args:
      name: one of NAMES.
      data_dir: where the sets that aren't bundled lie.
      image_size: images are resized to this many pixels a side; None: as they are stored.
      train_examples: keep only the first so many training examples.
      validation_examples: hold out so many training examples, drawn with a fixed seed, as the validation split.
      avatars: how many faces the set `avatars` has.

    Raises:
      UserError: unknown name, missing or unreadable files, more examples asked for than there are.
    """
    data = _load_whole(name, data_dir, image_size, avatars)
    if validation_examples:
        if validation_examples >= len(data.train):
            raise UserError(f"--validation_examples={validation_examples}: {name} has {len(data.train)} for training")
        order = np.random.default_rng(0).permutation(len(data.train))
        held_out, kept = order[:validation_examples], np.sort(order[validation_examples:])
        data = dataclasses.replace(data, train=Subset(data.train, kept), validation=Subset(data.train, held_out))
    if train_examples:
        if train_examples > len(data.train):
            raise UserError(f"--train_examples={train_examples}: {name} has {len(data.train)}")
        data = dataclasses.replace(data, train=Subset(data.train, np.arange(train_examples)))
    return data
