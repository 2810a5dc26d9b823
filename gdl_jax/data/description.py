"""Data sets described in JSON: a run's folder says what its networks need to know of the data, without the data.

A description has shapes, names and vocabularies. The data set made from it has them too, and reads the data themselves
when a row is asked for.
"""

import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import DataSet, Rows, has_labels_in_memory

SPLITS = ("train", "validation", "test")
SEPARATE = (*SPLITS, "transform", "check", "row")  # fields that aren't described one by one


class DescriptionError(UserError):
    """A description is damaged, or names what can't be imported (any more)."""


def describe(data: DataSet) -> dict[str, Any] | None:
    """Returns a data set's description, for `described`; None if one of its fields can't be encoded as JSON."""
    splits = {name: getattr(data, name) for name in SPLITS}
    row = data.example()
    try:
        fields = {
            field.name: _encode(getattr(data, field.name))
            for field in dataclasses.fields(data)
            if field.name not in SEPARATE and not field.metadata.get("contents")
        }
        return {
            "class": _name(type(data)),
            "fields": fields,
            "transform": _encode(data.transform),
            "row": {name: {"dtype": str(array.dtype), "shape": array.shape[1:]} for name, array in row.items()},
            "examples": {name: None if source is None else len(source) for name, source in splits.items()},
            "label_counts": _label_counts(data, row),
        }
    except TypeError:
        return None


def _label_counts(data: DataSet, row: Rows) -> list[int]:
    """Returns the number of training examples of each class; [] if there are no classes or labels aren't in memory."""
    if "label" not in row or not data.classes or not has_labels_in_memory(data.train):
        return []
    return np.bincount(data.train.labels(), minlength=len(data.classes)).tolist()


def described(description: Mapping[str, Any], load: Callable[[], DataSet]) -> DataSet:
    """Returns the data set of a description; `load` is called at most once, when the first row is asked for.

    Raises:
      DescriptionError: the description is damaged, or of a class that is no longer there.
    """
    load = functools.cache(load)
    try:
        cls = _find(description["class"])
        rows = description["row"].items()
        row = {name: np.zeros((1, *array["shape"]), array["dtype"]) for name, array in rows}
        counts = description["label_counts"]
        splits = {
            name: None if count is None else Unread(load, name, count, counts if name == "train" else [])
            for name, count in description["examples"].items()
        }
        contents = {
            field.name: ReadLater(load, field.name)
            for field in dataclasses.fields(cls)
            if field.metadata.get("contents") and field.default is dataclasses.MISSING
        }
        fields = {name: _decode(value) for name, value in description["fields"].items()}
        return cls(**fields, **splits, **contents, transform=_decode(description["transform"]), row=row)
    except Exception as error:  # it may import a user's code, which may raise anything
        raise DescriptionError(f"data.json cannot be read: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Unread:
    """Split of a described data set; the data are loaded when a row is asked for.

    Attributes:
      load: returns the whole data set.
      split: the split's name.
      count: its number of rows.
      label_counts: its number of rows of each class; [] if that isn't known.
    """

    load: Callable[[], DataSet]
    split: str
    count: int
    label_counts: list[int]

    @property
    def nbytes(self) -> int:
        return getattr(self.load(), self.split).nbytes

    @property
    def labels_in_memory(self) -> bool:
        return bool(self.label_counts)

    def __len__(self) -> int:
        return self.count

    def take(self, indices: np.ndarray) -> Rows:
        return getattr(self.load(), self.split).take(indices)

    def labels(self) -> np.ndarray:
        """Returns the label of every row: in ascending order if the counts are known, else from the data."""
        if self.label_counts:
            return np.repeat(np.arange(len(self.label_counts), dtype=np.int32), self.label_counts)
        return getattr(self.load(), self.split).labels()


class ReadLater(Mapping[str, Any]):
    """Mapping among the fields of a data set that is loaded when the mapping is looked at."""

    def __init__(self, load: Callable[[], DataSet], field: str):
        self._load, self._field = load, field

    def _whole(self) -> Mapping[str, Any]:
        return getattr(self._load(), self._field)

    def __getitem__(self, name: str) -> Any:
        return self._whole()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())


def _name(thing: Any) -> str:
    if "<" in thing.__qualname__ or thing.__module__ == "__main__":
        raise TypeError(f"{thing.__qualname__} can't be imported by another program")
    return f"{thing.__module__}:{thing.__qualname__}"


def _find(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _encode(value: Any) -> Any:
    """Returns numbers, texts, tuples, fractions, dataclasses and functions (by name) as JSON."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Fraction):
        return {"fraction": str(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {"class": _name(type(value)), "arguments": {name: _encode(one) for name, one in value._asdict().items()}}
    if isinstance(value, tuple):
        return [_encode(one) for one in value]
    if dataclasses.is_dataclass(value):
        fields = {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"class": _name(type(value)), "arguments": fields}
    if isinstance(value, functools.partial) and not value.args:
        arguments = {name: _encode(one) for name, one in value.keywords.items()}
        return {"function": _name(value.func), "arguments": arguments}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"function": _name(value), "arguments": {}}
    raise TypeError(f"{type(value).__name__} is not described")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_decode, value))
    if not isinstance(value, dict):
        return value
    if "fraction" in value:
        return Fraction(value["fraction"])
    arguments = {name: _decode(one) for name, one in value["arguments"].items()}
    if "class" in value:
        return _find(value["class"])(**arguments)
    function = _find(value["function"])
    return functools.partial(function, **arguments) if arguments else function
