"""The data sets, by name."""

import dataclasses
from importlib import import_module
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import DataSet, Source, Subset, first_examples
from gdl_jax.data.images.domains import Unpaired, split_off

DATASETS = {
    "digits": "5,000 of MNIST's digits, 28 x 28 (bundled)",
    "avatars": "cartoon faces with exact attributes, any number and size (bundled)",
    "mnist": "mnist/mnist.npz or TFDS in data_dir",
    "cifar10": "cifar-10-batches-bin/, cifar10/cifar10.npz or TFDS in data_dir",
    "celeba": "img_align_celeba/ and list_attr_celeba.txt or .csv, or TFDS, in data_dir",
    "quickdraw:NAME": "drawings of Quick, Draw!, quickdraw/NAME.npy or camel/NAME.npz in data_dir",
    "folder:PATH": "a folder of images; subfolders are classes",
    "npz:PATH": "arrays x_train, x_test (y_train, y_test), or images (labels)",
    "rollouts:PATH": "frames of recorded episodes, a folder of shards",
    "latents:PATH": "latent codes of such frames, a folder of shards",
    "tfds:NAME": "a prepared set of TensorFlow Datasets",
    "drawings:edges": "outline drawings of avatars, paired with the avatars (bundled)",
    "drawings:labels": "label maps of avatars (skin, hair, clothes, ...), paired with the avatars (bundled)",
    "apple2orange": "unpaired photos of apples and oranges, apple2orange/ in data_dir",
    "monet2photo": "unpaired paintings by Monet and photos, monet2photo/ in data_dir",
    "facades": "label maps of house fronts, paired with photos, facades/ in data_dir",
    "unpaired:PATH": "images of two domains, a folder with trainA, trainB, testA and testB",
    "paired:PATH": "pairs of images, a folder of side-by-side files, or of A and B with files of the same names",
}
PAIRED_KINDS = ("drawings", "facades", "paired")  # of DATASETS, the kinds with pairs of images of two domains
UNPAIRED_KINDS = ("apple2orange", "monet2photo", "unpaired")  # those with unpaired images of two domains
PATH_KINDS = ("folder", "latents", "npz", "paired", "rollouts", "unpaired")  # of DATASETS, the kinds KIND:PATH
NAME_KINDS = ("quickdraw", "tfds")  # those KIND:NAME
READERS = {  # kind -> the module of gdl_jax.data with its `load`
    "digits": "images.digits",
    "avatars": "images.avatars",
    "mnist": "images.mnist",
    "cifar10": "images.cifar10",
    "celeba": "images.celeba",
    "quickdraw": "images.quickdraw",
    "folder": "images.folder",
    "npz": "images.npz",
    "rollouts": "worlds.rollouts",
    "latents": "worlds.latents",
    "tfds": "images.tfds",
    "drawings": "images.avatar_drawings",
    "apple2orange": "images.unpaired",
    "monet2photo": "images.unpaired",
    "facades": "images.paired",
    "unpaired": "images.unpaired",
    "paired": "images.paired",
}
BY_NAME = ("apple2orange", "monet2photo", "facades")  # kinds whose module has a `load_known`
AVATAR_SIZE = 128


def is_known(name: str) -> bool:
    """True if `name` is a data set's, or KIND:PATH or KIND:NAME with a known kind."""
    kind, _, rest = name.partition(":")
    return name in DATASETS or bool(rest and kind in (*PATH_KINDS, *NAME_KINDS))


def _load_whole(name: str, data_dir: str | None, image_size: int | None, avatars: int, seed: int) -> DataSet:
    kind, _, rest = name.partition(":")
    if not is_known(name):
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    module = import_module(f"gdl_jax.data.{READERS[kind]}")  # lazily: some readers are slow to import
    if kind in BY_NAME:
        return module.load_known(kind, data_dir, image_size)
    load_kind = module.load
    if kind == "digits":
        return load_kind(image_size)
    if kind == "avatars":
        return load_kind(avatars, image_size or AVATAR_SIZE, seed)
    if kind == "drawings":
        return load_kind(rest, avatars, image_size or AVATAR_SIZE, seed)
    if kind in NAME_KINDS:
        return load_kind(rest, data_dir, image_size)
    if kind in PATH_KINDS:
        return load_kind(Path(expand_user(rest, "dataset", name)), image_size)
    return load_kind(data_dir, image_size)


def load(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int | None = None,
    train_examples: int = 0,
    validation_examples: int = 0,
    avatars: int = 10_000,
    seed: int = 0,
) -> DataSet:
    """Returns the data set `name`.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      image_size: images are resized to this many pixels a side; None: as stored (image files: 64; files of two
        domains: 128).
      train_examples: train on the first N examples only; 0: all.
      validation_examples: size of the validation split to hold out, for a set that has none; of unpaired images, the
        number of each domain.
      avatars: number of faces in the set `avatars`, and of pairs in `drawings`.
      seed: of the avatars and of the examples held out for validation. Not a run's seed: it decides the data.

    Raises:
      UserError: unknown name, missing or unreadable files, or more examples requested than there are.
    """
    directory = expand_user(data_dir, "data_dir") if data_dir is not None else None
    data = _load_whole(name, directory, image_size, avatars, seed)
    if validation_examples:
        data = _hold_out(data, validation_examples, seed)
    return first_examples(data, train_examples)


def _hold_out(data: DataSet, count: int, seed: int) -> DataSet:
    """Returns a data set with `count` random training examples as its validation split; the others keep their order.

    Of unpaired images, `count` of each domain are held out.
    """
    if data.validation is not None:
        raise ConfigError(
            "validation_examples", count, f"{data.name} has a validation split of {len(data.validation)}; leave it at 0"
        )
    rng = np.random.default_rng(seed)

    def split(source: Source) -> tuple[Source, Source]:
        if not 0 < count < len(source):
            raise ConfigError("validation_examples", count, f"{data.name} has {len(source)} training examples")
        order = rng.permutation(len(source))
        return Subset(source, np.sort(order[count:])), Subset(source, np.sort(order[:count]))

    train, validation = split_off(data.train, split) if isinstance(data.train, Unpaired) else split(data.train)
    return dataclasses.replace(data, train=train, validation=validation)
