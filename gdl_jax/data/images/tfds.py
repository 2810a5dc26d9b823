"""Data sets of TensorFlow Datasets, read by random access and without TensorFlow.

Preparing a set needs TensorFlow once: `pip install tensorflow`, then `tfds build NAME --file_format=array_record`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.core.extras import extra
from gdl_jax.data.dataset import DataSet, Rows, Source, Subset, digest_of
from gdl_jax.data.images.pixels import resize, to_float

HASHED_RECORDS = 50  # of each split, evenly spaced, that the digest covers


@dataclass(frozen=True)
class TfdsSource:
    """Source of one split of a prepared set, decoded lazily.

    Attributes:
      name: of the set and the split, for messages.
      records: the split: dicts with "image", and perhaps "label" and "attributes" (a dict of booleans).
      encoded: the same with images that are not decoded.
      shape: of an image as it is returned, (H, W, C).
      labelled: True if rows have a "label".
      attributes: names of the columns of "attributes"; () if there is no such column.
    """

    name: str
    records: Sequence[dict[str, Any]]
    encoded: Sequence[dict[str, Any]]
    shape: tuple[int, int, int]
    labelled: bool
    attributes: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        return len(self) * int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: np.ndarray) -> Rows:
        """Reads the records at `indices`.

        Raises:
          UserError: one of them cannot be read; names it.
        """
        images = np.empty((len(indices), *self.shape), np.uint8)
        labels = np.empty(len(indices), np.int32)
        attributes = np.empty((len(indices), len(self.attributes)), np.int8)
        for row, index in enumerate(indices):
            record = _record(self.name, self.records, int(index))
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

    @property
    def labels_in_memory(self) -> bool:
        """True once `labels` has read all records, which takes 0.3 ms each."""
        return "_labels" in vars(self)

    def labels(self) -> np.ndarray:
        """Returns the "label" of every record, without decoding images."""
        return self._labels

    def attribute_rows(self) -> np.ndarray:
        """Returns the "attributes" of every record, without decoding images."""
        records = (_record(self.name, self.encoded, index) for index in range(len(self)))
        return np.array([[record["attributes"][name] for name in self.attributes] for record in records], np.int8)

    @cached_property
    def _labels(self) -> np.ndarray:
        records = (_record(self.name, self.encoded, index) for index in range(len(self)))
        return np.array([record["label"] for record in records], np.int32)


def _record(name: str, records: Sequence[dict[str, Any]], index: int) -> dict[str, Any]:
    """Returns a record.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return records[index]
    except Exception as error:  # a damaged file makes TFDS raise almost anything
        raise UserError(f"{name}: record {index} cannot be read: {first_line(error)[:150]}") from error


def _open(name: str, data_dir: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns {split: records} of a prepared set, twice: with decoded images, and with encoded ones."""
    with extra("tfds"):
        import tensorflow_datasets as tfds  # slow
    try:
        splits = dict(tfds.data_source(name, data_dir=data_dir, download=False))
        if "train" not in splits:
            raise FileNotFoundError("no split train")
        has_images = "image" in splits["train"].dataset_info.features
        decoders = {"image": tfds.decode.SkipDecoding()} if has_images else None
        encoded = dict(tfds.data_source(name, data_dir=data_dir, download=False, decoders=decoders))
    except Exception as error:  # TFDS raises various exceptions for sets that are unknown or not prepared
        place = f" in {data_dir}" if data_dir else ""
        options = f"data_dir={data_dir!r}, file_format='array_record'"
        build = f"tensorflow_datasets.builder({name!r}, {options}).download_and_prepare()"
        reason = str(error).partition("\n")[0][:150]
        raise ConfigError(
            "dataset",
            f"tfds:{name}",
            f"not prepared{place} ({reason}); once: pip install tensorflow, then in Python {build}",
        ) from error
    return splits, encoded


def _image_shape(name: str, feature: Any, image_size: int | None) -> tuple[int, int, int]:
    """Returns (H, W, C) of the images after resizing."""
    if feature is None or len(feature.shape) != 3 or feature.shape[-1] not in (1, 3) or feature.np_dtype != np.uint8:
        raise ConfigError("dataset", f"tfds:{name}", "has no feature `image` of uint8 with one or three channels")
    if image_size is not None:
        return image_size, image_size, feature.shape[-1]
    if None in feature.shape:
        raise ConfigError("dataset", f"tfds:{name}", "its images differ in size; set image_size")
    return tuple(feature.shape)


def _attribute_names(feature: Any) -> tuple[str, ...]:
    """Returns the sorted names of a dictionary of booleans (TFDS's order varies); () for another feature or None."""
    if not hasattr(feature, "values"):
        return ()
    flags = all(each.shape == () and np.issubdtype(each.np_dtype, np.bool_) for each in feature.values())
    return tuple(sorted(feature)) if flags else ()


def _contents(sources: Mapping[str, TfdsSource], classes: Sequence[str], attributes: Sequence[str]) -> Iterator[bytes]:
    """Yields the digest's input: names, sizes of splits, and some records of each split as they are stored."""
    yield repr((tuple(classes), tuple(attributes))).encode()
    for split, source in sources.items():
        yield repr((split, len(source))).encode()
        for index in np.unique(np.linspace(0, len(source) - 1, HASHED_RECORDS, dtype=int)) if len(source) else ():
            record = _record(source.name, source.encoded, int(index))
            yield record["image"]
            yield repr([record.get("label"), [record["attributes"][name] for name in attributes]]).encode()


def load(name: str, data_dir: str | None = None, image_size: int | None = None) -> DataSet:
    """Loads the image set `name` of TFDS, from data_dir (or TFDS's own directory).

    The set's validation and test splits are used. If it has no test split, the last tenth of train is held out.

    Raises:
      ConfigError: no such set, not prepared, or its images are not uint8 with one or three channels.
    """
    splits, encoded = _open(name, data_dir)
    features = dict(splits["train"].dataset_info.features.items())
    shape = _image_shape(name, features.get("image"), image_size)
    attributes = _attribute_names(features.get("attributes"))
    classes = tuple(getattr(features.get("label"), "names", None) or ())
    sources: dict[str, Source] = {
        split: TfdsSource(f"tfds:{name}: {split}", splits[split], encoded[split], shape, bool(classes), attributes)
        for split in ("train", "validation", "test")
        if split in splits
    }
    digest = digest_of(_contents(sources, classes, attributes))
    if "test" not in sources:
        train, kept = sources["train"], len(sources["train"]) * 9 // 10
        sources["train"] = Subset(train, np.arange(kept))
        sources["test"] = Subset(train, np.arange(kept, len(train)))
    named = {"classes": classes, "attributes": attributes, "digest": digest}
    return DataSet(f"tfds:{name}", **sources, transform=to_float, **named)
