"""Quick, Draw!: drawings of 28 x 28, light strokes on black, by players of Google's game (book 04_01: camels)."""

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images.arrays import Part, check
from gdl_jax.data.images.npz import class_names
from gdl_jax.data.images.pixels import to_float
from gdl_jax.data.known import find
from gdl_jax.data.numpy_files import is_archive, read_array, read_arrays

SIZE = 28
MOST_TRAINED_ON = 80_000  # the book's number, of the 121,399 camels
LAYOUTS = ("quickdraw/{}.npy", "full_numpy_bitmap_{}.npy", "quickdraw/{}.npz", "camel/{}.npy", "camel/{}.npz")


def load(name: str, data_dir: str | None, image_size: int | None = None) -> DataSet:
    """Loads the drawings NAME from Google's full_numpy_bitmap_NAME.npy, (N, 784) uint8, or an .npz.

    The .npz has "images" and perhaps "labels" and "classes". A tenth, drawn with a fixed seed, is held out for testing;
    of the rest, at most 80,000 are trained on.

    Raises:
      UserError: no such file in data_dir, or other arrays in it; names the file.
    """
    path = find(f"quickdraw:{name}", data_dir, [layout.format(name) for layout in LAYOUTS])
    arrays = read_arrays(path, ("images", "labels", "classes")) if is_archive(path) else {"images": read_array(path)}
    images = arrays.get("images")
    if images is None or not images.ndim or images.size % SIZE**2 or not 10 <= len(images) == images.size // SIZE**2:
        shape = "none" if images is None else images.shape
        raise UserError(f"{path}: needs ten or more images of {SIZE}x{SIZE}, not {shape}")
    part = Part(str(path), images.reshape(-1, SIZE, SIZE), arrays.get("labels"))
    (rows,), classes, digest = check([part], image_size, class_names(arrays))
    order = np.random.default_rng(0).permutation(len(rows))
    tenth = len(order) // 10
    test, train = (ArraySource(rows.take(index)) for index in (order[:tenth], order[tenth:][:MOST_TRAINED_ON]))
    return DataSet(f"quickdraw:{name}", train, test, transform=to_float, classes=classes, digest=digest)
