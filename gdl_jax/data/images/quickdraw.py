"""Quick, Draw!: drawings of 28 x 28, ink on nothing, by players of Google's game (book 04_01: camels)."""

from pathlib import Path

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images import npz
from gdl_jax.data.images.pixels import to_float

SIZE = 28
MOST_TRAINED_ON = 80_000  # the book's number, of the 121,399 camels
LAYOUTS = ("quickdraw/{}.npy", "full_numpy_bitmap_{}.npy", "quickdraw/{}.npz", "camel/{}.npy", "camel/{}.npz")


def _find(name: str, data_dir: str | None) -> Path:
    wanted = ", ".join(layout.format(name) for layout in LAYOUTS)
    if data_dir is None:
        raise ConfigError("dataset", f"quickdraw:{name}", f"needs data_dir, a directory with one of {wanted}")
    for layout in LAYOUTS:
        if (path := Path(data_dir) / layout.format(name)).exists():
            return path
    raise ConfigError("data_dir", data_dir, f"holds none of {wanted}")


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        return npz.read(path)
    try:
        return {"images": np.load(path, allow_pickle=False)}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def load(name: str, data_dir: str | None, image_size: int | None = None) -> DataSet:
    """The drawings NAME: Google's full_numpy_bitmap_NAME.npy, (N, 784) uint8, or an .npz of images and perhaps labels.

    A tenth, drawn with a fixed seed, is held out for testing; of the rest, at most 80,000 are trained on.

    Raises:
      UserError: no such file in data_dir, or other arrays in it.
    """
    path = _find(name, data_dir)
    arrays = _read(path)
    if "images" not in arrays or arrays["images"].size % SIZE**2 or len(arrays["images"]) < 10:
        raise UserError(f"{path}: needs at least ten images of {SIZE}x{SIZE}")
    drawings = arrays["images"].reshape(-1, SIZE, SIZE)
    order = np.random.default_rng(0).permutation(len(drawings))
    tenth = len(order) // 10
    rows = npz.image_rows(str(path), drawings, arrays.get("labels"), image_size)
    test, train = (ArraySource(rows.take(part)) for part in (order[:tenth], order[tenth:][:MOST_TRAINED_ON]))
    classes = tuple(map(str, arrays["classes"])) if "classes" in arrays and "labels" in arrays else ()
    return DataSet(f"quickdraw:{name}", train, test, transform=to_float, classes=classes)
