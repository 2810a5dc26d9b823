"""Data sets that come as arrays: MNIST, CIFAR-10, and any .npz of a user's own."""

import io
import itertools
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images import resize_all, to_float

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BINARY_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; nothing is unpickled.

    Raises:
      UserError: the file is missing, damaged, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, KeyError) as error:
        raise UserError(f"{path}: not a readable .npz: {error}") from error


def find(data_dir: str | None, name: str, candidates: Iterable[str]) -> Path:
    """The first of `candidates` (paths inside data_dir) that exists.

    Raises:
      UserError: there is none; names the flag and what is looked for.
    """
    candidates = tuple(candidates)
    wanted = " or ".join(candidates)
    if data_dir is None:
        raise UserError(f"--dataset={name} needs --data_dir, a directory with {wanted} (or use --dataset=tfds:{name})")
    if not Path(data_dir).is_dir():
        raise UserError(f"--data_dir={data_dir}: no such directory")
    for candidate in candidates:
        if (Path(data_dir) / candidate).exists():
            return Path(data_dir) / candidate
    raise UserError(f"--data_dir={data_dir}: holds no {wanted} for --dataset={name}")


def image_rows(where: str, images: np.ndarray, labels: np.ndarray | None, image_size: int | None) -> ArraySource:
    """Rows from images (N, H, W) or (N, H, W, C) uint8 and labels (N,) or (N, 1) integers.

    Raises:
      UserError: other shapes or types; `where` names the file.
    """
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3) or not len(images):
        raise UserError(
            f"{where}: images must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), not {images.dtype} {images.shape}"
        )
    rows = {"image": resize_all(images, image_size)}
    if labels is not None:
        labels = labels.reshape(len(labels), -1)
        if labels.shape != (len(images), 1) or not np.issubdtype(labels.dtype, np.integer):
            raise UserError(f"{where}: labels must be {len(images)} integers, not {labels.dtype} {labels.shape}")
        rows["label"] = labels[:, 0].astype(np.int32)
    return ArraySource(rows)


def load_npz(path: Path, image_size: int | None = None) -> DataSet:
    """A user's own arrays: x_train, x_test and perhaps y_train, y_test; or images (image, x) and perhaps labels.

    Where there is no test split, a tenth of the images, drawn with a fixed seed, is held out as one.

    Raises:
      UserError: no such arrays, or arrays of another shape or type.
    """
    arrays = read_npz(path)
    if "x_train" in arrays and "x_test" in arrays:
        train = image_rows(f"{path}: x_train", arrays["x_train"], arrays.get("y_train"), image_size)
        test = image_rows(f"{path}: x_test", arrays["x_test"], arrays.get("y_test"), image_size)
    else:
        images = next((arrays[name] for name in ("images", "image", "x") if name in arrays), None)
        if images is None:
            raise UserError(f"{path}: needs arrays x_train and x_test, or images; it has {', '.join(arrays)}")
        labels = next((arrays[name] for name in ("labels", "label", "y") if name in arrays), None)
        rows = image_rows(str(path), images, labels, image_size).arrays
        order = np.random.default_rng(0).permutation(len(rows["image"]))
        held_out = max(1, len(order) // 10)
        test = ArraySource({name: array[order[:held_out]] for name, array in rows.items()})
        train = ArraySource({name: array[order[held_out:]] for name, array in rows.items()})
        if not len(train):
            raise UserError(f"{path}: one image is too few")
    if train.arrays["image"].shape[1:] != test.arrays["image"].shape[1:]:
        raise UserError(f"{path}: x_train and x_test have images of different shapes")
    labels = train.arrays.get("label", np.zeros(0, int))
    classes = tuple(str(label) for label in range(int(labels.max()) + 1)) if labels.size else ()
    return DataSet(f"npz:{path}", train, test, transform=to_float, classes=classes)


def load_mnist(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """MNIST's 60,000 and 10,000 digits, from mnist.npz (Keras's layout)."""
    path = find(data_dir, "mnist", ("mnist/mnist.npz", "mnist.npz"))
    loaded = load_npz(path, image_size)
    return DataSet("mnist", loaded.train, loaded.test, transform=to_float, classes=tuple("0123456789"))


def _jpegs(path: Path, arrays: dict[str, np.ndarray], split: str, image_size: int | None) -> ArraySource:
    contents, ends = arrays[f"{split}_jpeg"].tobytes(), arrays[f"{split}_offsets"]
    images = [Image.open(io.BytesIO(contents[a:b])).convert("RGB") for a, b in itertools.pairwise(ends)]
    images = np.stack([np.asarray(image) for image in images])
    return image_rows(str(path), images, arrays[f"{split}_labels"], image_size)


def _binary(paths: list[Path], image_size: int | None) -> ArraySource:
    records = []
    for path in paths:
        contents = np.frombuffer(path.read_bytes(), np.uint8)
        if contents.size == 0 or contents.size % 3073:
            raise UserError(f"{path}: not CIFAR-10's binary format (records of 3,073 bytes)")
        records.append(contents.reshape(-1, 3073))
    records = np.concatenate(records)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return image_rows(str(paths[0]), np.ascontiguousarray(images), records[:, 0].astype(np.int32), image_size)


def load_cifar10(data_dir: str | None, image_size: int | None = None) -> DataSet:
    """CIFAR-10's 50,000 and 10,000 images: the official binary files, an .npz of arrays, or an .npz of JPEGs."""
    path = find(
        data_dir,
        "cifar10",
        ("cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10/cifar10.npz", "cifar10.npz"),
    )
    if path.is_dir():
        files = [path / f"{name}.bin" for name in BINARY_BATCHES]
        missing = [file for file in files if not file.exists()]
        if missing:
            raise UserError(f"{missing[0]}: no such file")
        train, test, note = _binary(files[:-1], image_size), _binary(files[-1:], image_size), ""
    else:
        arrays = read_npz(path)
        if "train_jpeg" in arrays:
            train, test = (_jpegs(path, arrays, split, image_size) for split in ("train", "test"))
            note = "JPEG-compressed copy (quality 75)"
        else:
            loaded = load_npz(path, image_size)
            train, test, note = loaded.train, loaded.test, ""
    return DataSet("cifar10", train, test, transform=to_float, classes=CIFAR10_CLASSES, note=note)
