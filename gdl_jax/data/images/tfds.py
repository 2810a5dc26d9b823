"""Data sets of TensorFlow Datasets, read by random access and without TensorFlow.

Preparing a set needs TensorFlow once: `pip install gdl_jax[tfds]`, then `tfds build NAME --file_format=array_record`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import DataSet, Rows, Source, Subset
from gdl_jax.data.images.pixels import resize, to_float


@dataclass(frozen=True)
class TfdsSource:
    """One split of a prepared set, decoded when it is asked for.

    Attributes:
      records: the split: dicts with "image", and perhaps "label" and "attributes" (a dict of booleans).
      shape: of an image as it is returned, (H, W, C).
      labelled: whether rows have a "label".
      attributes: names of the columns of "attributes"; none: no such column.
    """

    records: Sequence[dict[str, Any]]
    shape: tuple[int, int, int]
    labelled: bool
    attributes: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        return len(self) * int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: np.ndarray) -> Rows:
        images = np.empty((len(indices), *self.shape), np.uint8)
        labels = np.empty(len(indices), np.int32)
        attributes = np.empty((len(indices), len(self.attributes)), np.int8)
        for row, index in enumerate(indices):
            record = self.records[int(index)]
            image = np.asarray(record["image"])
            images[row] = image if image.shape == self.shape else resize(image, self.shape[0])
            if self.labelled:
                labels[row] = record["label"]
            attributes[row] = [record["attributes"][name] for name in self.attributes]
        rows = {"image": images}
        if self.labelled:
            rows["label"] = labels
        if self.attributes:
            rows["attributes"] = attributes
        return rows

    def labels(self) -> np.ndarray:
        """The "label" of every record; each is decoded for it."""
        return np.array([record["label"] for record in self.records], np.int32)


def _open(name: str, data_dir: str | None) -> dict[str, Any]:
    """{split: records} of a prepared set."""
    try:
        import tensorflow_datasets as tfds  # slow to import, and only this needs it
    except ImportError as error:
        raise ConfigError("dataset", f"tfds:{name}", "needs `pip install tensorflow-datasets array-record`") from error
    try:
        splits = dict(tfds.data_source(name, data_dir=data_dir, download=False))
        if "train" not in splits:
            raise FileNotFoundError("no split train")
    except Exception as error:  # TFDS has no one exception for: unknown, not prepared, not random access
        place = f" in {data_dir}" if data_dir else ""
        options = f"data_dir={data_dir!r}, file_format='array_record'"
        build = f"tensorflow_datasets.builder({name!r}, {options}).download_and_prepare()"
        reason = str(error).partition("\n")[0][:150]
        raise ConfigError(
            "dataset",
            f"tfds:{name}",
            f"not prepared{place} ({reason}); once: pip install gdl_jax[tfds], then in Python {build}",
        ) from error
    return splits


def _image_shape(name: str, feature: Any, image_size: int | None) -> tuple[int, int, int]:
    """(H, W, C) of the images as they will be."""
    if feature is None or len(feature.shape) != 3 or feature.shape[-1] not in (1, 3) or feature.np_dtype != np.uint8:
        raise ConfigError("dataset", f"tfds:{name}", "has no feature `image` of uint8 with one or three channels")
    if image_size is not None:
        return image_size, image_size, feature.shape[-1]
    if None in feature.shape:
        raise ConfigError("dataset", f"tfds:{name}", "its images differ in size; give image_size")
    return tuple(feature.shape)


def load(name: str, data_dir: str | None = None, image_size: int | None = None) -> DataSet:
    """The image set `name` of TFDS, from data_dir (or TFDS's own directory).

    The set's own validation and test splits are kept; where it has no test split, the last tenth of train is held out.

    Raises:
      ConfigError: no such set, not prepared, or not one of images that a batch can be made of.
    """
    splits = _open(name, data_dir)
    features = dict(splits["train"].dataset_info.features.items())
    shape = _image_shape(name, features.get("image"), image_size)
    attributes = tuple(sorted(features["attributes"])) if "attributes" in features else ()  # TFDS's order varies
    classes = tuple(getattr(features.get("label"), "names", None) or ())
    sources: dict[str, Source] = {
        split: TfdsSource(splits[split], shape, bool(classes), attributes)
        for split in ("train", "validation", "test")
        if split in splits
    }
    if "test" not in sources:
        train, kept = sources["train"], len(sources["train"]) * 9 // 10
        sources["train"] = Subset(train, np.arange(kept))
        sources["test"] = Subset(train, np.arange(kept, len(train)))
    return DataSet(f"tfds:{name}", **sources, transform=to_float, classes=classes, attributes=attributes)
