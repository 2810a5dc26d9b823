"""The common form of all data sets: up to three disjoint sources of rows, and a pure function from rows to a batch."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from gdl_jax.core.errors import ConfigError

BLOCK = 256  # rows that are read at once for their attributes
CONTENTS = {"contents": True}  # metadata of a field that holds data, rather than what a network must know of them
Rows = Mapping[str, np.ndarray]  # e.g. {"image": uint8 (N, H, W, C), "label": int32 (N,)}


class Source(Protocol):
    """Random access to the rows of a split."""

    nbytes: int  # of all rows in memory; small splits are kept on the device, larger ones are streamed

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices`, in that order. Safe to call from several threads."""

    def labels(self) -> np.ndarray:
        """Returns the "label" of every row, without reading images if possible."""


def has_labels_in_memory(source: Source) -> bool:
    """True if a source has an attribute `labels_in_memory` that is True: its `labels` reads no file.

    A source need not have the attribute; one without labels may also lack `labels`.
    """
    return getattr(source, "labels_in_memory", False)


def attributes_of(source: Source) -> np.ndarray:
    """Returns the "attributes" of every row of a source, int8 (N, A).

    A source with a method `attribute_rows` knows them without reading images; of others, all rows are read.
    """
    if (known := getattr(source, "attribute_rows", None)) is not None:
        return known()
    blocks = np.split(np.arange(len(source)), range(BLOCK, len(source), BLOCK))
    return np.concatenate([source.take(block)["attributes"] for block in blocks])


@dataclass(frozen=True)
class ArraySource:
    """Source whose rows are in memory: {name: array with the row axis first}."""

    arrays: Rows
    labels_in_memory: ClassVar[bool] = True

    def __post_init__(self):
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"arrays of a source must have the same number of rows: {lengths}")

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, indices: np.ndarray) -> Rows:
        return {name: array[indices] for name, array in self.arrays.items()}

    def labels(self) -> np.ndarray:
        return self.arrays["label"]

    def attribute_rows(self) -> np.ndarray:
        return self.arrays["attributes"]


@dataclass(frozen=True)
class Subset:
    """Source of the rows of another source at `index`, in that order."""

    source: Source
    index: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.source.nbytes // len(self.source) * len(self.index)

    @property
    def labels_in_memory(self) -> bool:
        return has_labels_in_memory(self.source)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, indices: np.ndarray) -> Rows:
        return self.source.take(self.index[indices])

    def labels(self) -> np.ndarray:
        return self.source.labels()[self.index]

    def attribute_rows(self) -> np.ndarray:
        return attributes_of(self.source)[self.index]


@dataclass(frozen=True)
class Joined:
    """Concatenation of several sources, read lazily."""

    sources: tuple[Source, ...]

    @property
    def nbytes(self) -> int:
        return sum(source.nbytes for source in self.sources)

    @property
    def labels_in_memory(self) -> bool:
        return all(map(has_labels_in_memory, self.sources))

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def take(self, indices: np.ndarray) -> Rows:
        firsts = np.cumsum([0, *map(len, self.sources)])
        owner = np.searchsorted(firsts, indices, side="right") - 1  # the source of each row
        parts = [source.take(indices[owner == i] - firsts[i]) for i, source in enumerate(self.sources)]
        place = np.argsort(np.argsort(owner, kind="stable"))  # of each row in the concatenated parts
        return {name: np.concatenate([part[name] for part in parts])[place] for name in parts[0]}

    def labels(self) -> np.ndarray:
        return np.concatenate([source.labels() for source in self.sources])

    def attribute_rows(self) -> np.ndarray:
        return np.concatenate([attributes_of(source) for source in self.sources])


@dataclass(frozen=True)
class DataSet:
    """A named data set.

    Attributes:
      name: as the loader of its kind takes it.
      train, validation, test: sources with no row in common. `validation` is None if the set has no such split and none
        was requested; both are None if all rows are trained on.
      transform: pure JAX function, rows -> batch, run inside the compiled step (for images: uint8 0..255 -> float32
        in [0, 1]).
      classes: names of the values of "label"; () if there are no labels.
      attributes: names of the columns of "attributes"; () if there are none.
      note: caveat for readers of a result about this copy of the data (e.g. "JPEG-compressed, quality 75").
      digest: fingerprint of user-supplied data ('' if fixed by the name); a run refuses to resume on data with another
        one. It covers contents, not paths.
      check: verifies the checksums of all files, if they have any. Slow, so only called before training on all of them.
        Raises UserError, naming the damaged file.
      row: one row with the shapes and dtypes of all, so that no split is read for them; None: the first training row.
    """

    name: str
    train: Source
    test: Source | None
    validation: Source | None = None
    transform: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    classes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    note: str = ""
    digest: str = ""
    check: Callable[[], None] = lambda: None
    row: Rows | None = None

    def example(self) -> Rows:
        """Returns one row of the right shapes and dtypes; its values are meaningless."""
        return self.train.take(np.zeros(1, np.int64)) if self.row is None else self.row


def digest_of(contents: Iterable[bytes | np.ndarray]) -> str:
    """Returns a fingerprint of bytes or C-contiguous arrays: twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for part in contents:
        digest.update(part)
    return digest.hexdigest()[:12]


def first_rows(source: Source, count: int) -> Source:
    """Returns the first `count` rows of a source."""
    return Subset(source, np.arange(count))


def first_examples(data: DataSet, count: int, first: Callable[[Any, int], Source] = first_rows) -> DataSet:
    """Returns a data set with only the first `count` training examples.

    Args:
      data: the whole set; its other splits are unchanged.
      count: number of examples; 0: all.
      first: (training split, count) -> its first rows.

    Raises:
      ConfigError: the set has fewer; names train_examples.
    """
    if not 0 <= count <= len(data.train):
        raise ConfigError("train_examples", count, f"{data.name} has {len(data.train)} training examples")
    return dataclasses.replace(data, train=first(data.train, count)) if count else data


def only_class(data: DataSet, name: str) -> DataSet:
    """Returns the rows of one class, in all splits.

    Raises:
      ConfigError: the set has no such class, or a split has none of its rows; names only_class.
    """
    if name not in data.classes:
        raise ConfigError("only_class", name, f"{data.name} has {', '.join(data.classes) or 'no classes'}")
    kept = {}
    for split in ("train", "validation", "test"):
        if (source := getattr(data, split)) is not None:
            index = np.flatnonzero(source.labels() == data.classes.index(name))
            if not len(index):
                raise ConfigError("only_class", name, f"none in the {split} split of {data.name}")
            kept[split] = Subset(source, index)
    return dataclasses.replace(data, **kept)


def joined(data: DataSet) -> DataSet:
    """Returns a data set whose training split has all rows of all splits; nothing is held out."""
    splits = tuple(source for source in (data.train, data.validation, data.test) if source is not None)
    return dataclasses.replace(data, train=Joined(splits), validation=None, test=None)
