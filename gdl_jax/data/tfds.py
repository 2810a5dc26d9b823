"""Data sets of TensorFlow Datasets, read by random access and without TensorFlow.

Preparing a set needs TensorFlow once: `pip install gdl_jax[tfds]`, then `tfds build NAME`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, Rows
from gdl_jax.data.images import resize_all, to_float


@dataclass(frozen=True)
class TfdsSource:
    """One split of a prepared set, decoded when it is asked for."""

    records: Sequence[dict[str, Any]]
    attributes: tuple[str, ...]
    image_size: int | None

    @property
    def nbytes(self) -> int:
        return len(self) * sum(array.nbytes for array in self.take(np.zeros(1, int)).values())

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: np.ndarray) -> Rows:
        records = [self.records[int(index)] for index in indices]
        images = np.stack([resize_all(np.asarray(record["image"])[None], self.image_size)[0] for record in records])
        rows = {"image": images}
        if "label" in records[0]:
            rows["label"] = np.array([record["label"] for record in records], np.int32)
        if self.attributes:
            flags = [[record["attributes"][name] for name in self.attributes] for record in records]
            rows["attributes"] = np.array(flags, np.int8)
        return rows


def load(name: str, data_dir: str | None = None, image_size: int | None = None) -> DataSet:
    """The image set `name` of TFDS, from data_dir (or TFDS's own directory).

    The set's own validation and test splits are kept; where it has no test split, the last tenth of train is held out.

    Raises:
      UserError: no such set, not prepared, or its images differ in size and no --image_size is given.
    """
    import tensorflow_datasets as tfds  # slow to import, and only this needs it

    directory = data_dir or Path.home() / "tensorflow_datasets"
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        splits = list(builder.info.splits)
        wanted = (
            {"train": "train", "test": "test"} if "test" in splits else {"train": "train[:90%]", "test": "train[90%:]"}
        )
        if "validation" in splits:
            wanted["validation"] = "validation"
        records = {ours: builder.as_data_source(split=theirs) for ours, theirs in wanted.items()}
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--dataset=tfds:{name}: not prepared in {directory} (install the extra [tfds], then run "
            f"`tfds build {name}`): {reason}"
        ) from error
    features = builder.info.features
    if "image" not in features or (None in features["image"].shape[:2] and image_size is None):
        raise UserError(f"--dataset=tfds:{name}: needs images of one size; give --image_size")
    attributes = tuple(features["attributes"]) if "attributes" in features else ()
    classes = tuple(features["label"].names) if "label" in features else ()
    sources = {split: TfdsSource(found, attributes, image_size) for split, found in records.items()}
    return DataSet(f"tfds:{name}", **sources, transform=to_float, classes=classes, attributes=attributes)
