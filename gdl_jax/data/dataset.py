"""What every data set becomes: three sources of rows that never overlap, and a pure function from rows to a batch."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gdl_jax.core.errors import ConfigError

Rows = Mapping[str, np.ndarray]  # e.g. {"image": uint8 (N, H, W, C), "label": int32 (N,)}


class Source(Protocol):
    """Random access to rows: what the loop asks of a split."""

    nbytes: int  # of all rows when in memory; decides between the device and the stream

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> Rows:
        """The rows at `indices`, in that order; safe to call from several threads."""

    def labels(self) -> np.ndarray:
        """The "label" of every row; reads no images where it needn't."""


@dataclass(frozen=True)
class ArraySource:
    """Rows that are in memory already: {name: array with the row axis first}."""

    arrays: Rows

    def __post_init__(self):
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"arrays of one source must have as many rows each: {lengths}")

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, indices: np.ndarray) -> Rows:
        return {name: array[indices] for name, array in self.arrays.items()}

    def labels(self) -> np.ndarray:
        return self.arrays["label"]


@dataclass(frozen=True)
class Subset:
    """The rows of another source at `index`, in that order."""

    source: Source
    index: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.source.nbytes // len(self.source) * len(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, indices: np.ndarray) -> Rows:
        return self.source.take(self.index[indices])

    def labels(self) -> np.ndarray:
        return self.source.labels()[self.index]


@dataclass(frozen=True)
class Joined:
    """The rows of several sources, one source after the other; read when they are asked for."""

    sources: tuple[Source, ...]

    @property
    def nbytes(self) -> int:
        return sum(source.nbytes for source in self.sources)

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def take(self, indices: np.ndarray) -> Rows:
        firsts = np.cumsum([0, *map(len, self.sources)])
        owner = np.searchsorted(firsts, indices, side="right") - 1  # which source each row is of
        parts = [source.take(indices[owner == i] - firsts[i]) for i, source in enumerate(self.sources)]
        place = np.argsort(np.argsort(owner, kind="stable"))  # of each row among the parts
        return {name: np.concatenate([part[name] for part in parts])[place] for name in parts[0]}

    def labels(self) -> np.ndarray:
        return np.concatenate([source.labels() for source in self.sources])


@dataclass(frozen=True)
class DataSet:
    """A named data set.

    Attributes:
      name: as `load` of its kind takes it.
      train, validation, test: sources with no row in common; `validation` is None where a set has no such split and
        none was asked for, and both are None where all rows are trained on.
      transform: pure JAX function, rows -> batch, run inside the compiled step (for images: uint8 0..255 -> float32
        in [0, 1]).
      classes: names of the values of "label", where there are labels.
      attributes: names of the columns of "attributes", where there are attributes.
      note: what a reader of a result must know of this copy of the data (e.g. "JPEG-compressed, quality 75").
      digest: tells these data from others of the same name, where they are made by the user; a run that was trained on
        others does not go on with them.
      check: reads all that lies on disk and compares it with what was written, where that can be told; takes long, so
        it is for who learns from all of it. Raises UserError, naming the file that is damaged.
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


def digest_of(contents: Iterable[bytes]) -> str:
    """What tells contents from others, in twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for part in contents:
        digest.update(part)
    return digest.hexdigest()[:12]


def first_rows(source: Source, count: int) -> Source:
    """The first `count` rows of a source."""
    return Subset(source, np.arange(count))


def first_examples(data: DataSet, count: int, first: Callable[[Any, int], Source] = first_rows) -> DataSet:
    """The first `count` training examples only, in the set's order; 0: all.

    Args:
      data: the whole set; its other splits stay as they are.
      count: how many.
      first: (training split, count) -> its first rows.

    Raises:
      ConfigError: it has fewer; names train_examples.
    """
    if not 0 <= count <= len(data.train):
        raise ConfigError("train_examples", count, f"{data.name} has {len(data.train)} to train on")
    return dataclasses.replace(data, train=first(data.train, count)) if count else data


def only_class(data: DataSet, name: str) -> DataSet:
    """The rows of one class, in all splits.

    Raises:
      ConfigError: the set has no such class, or one of its splits none of its rows; names only_class.
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
    """All rows of all splits to train on; nothing is held out."""
    splits = tuple(source for source in (data.train, data.validation, data.test) if source is not None)
    return dataclasses.replace(data, train=Joined(splits), validation=None, test=None)
