"""Tests of data sets described in JSON."""

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from gdl_jax.core.json_files import to_json
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import ArraySource, DataSet, Joined, Subset
from gdl_jax.data.description import DescriptionError, describe, described
from gdl_jax.data.images.pixels import to_float
from gdl_jax.data.music.events import Music
from gdl_jax.data.text.tokens import TextData
from gdl_jax.data.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class OwnSource:
    """A user's source of rows with labels, without the method `labels`."""

    count: int
    nbytes: int = 0

    def __len__(self):
        return self.count

    def take(self, indices):
        return {"image": np.zeros((len(indices), 2), np.uint8), "label": np.zeros(len(indices), np.int32)}


@dataclass(frozen=True)
class SlowLabels(OwnSource):
    """A source whose labels are not in memory."""

    def labels(self):
        pytest.fail("the labels were read")


@dataclass(frozen=True, kw_only=True)
class WithTable(DataSet):
    table: np.ndarray


def never():
    pytest.fail("the data were loaded")


def through_json(data):
    return json.loads(to_json(describe(data)))


def test_digits_are_known_without_being_loaded():
    data = catalogue.load("digits")
    copy = described(through_json(data), never)
    assert type(copy) is DataSet and copy.name == "digits" and copy.classes == data.classes
    assert copy.transform is to_float
    for split in ("train", "validation", "test"):
        whole, unread = getattr(data, split), getattr(copy, split)
        assert (unread is None) == (whole is None)
        assert whole is None or len(unread) == len(whole)
    for name, array in data.example().items():
        assert copy.example()[name].shape == array.shape and copy.example()[name].dtype == array.dtype
    np.testing.assert_array_equal(copy.train.labels(), np.sort(data.train.labels()))


def test_rows_are_read_from_the_data_loaded_once():
    data, loads = catalogue.load("digits"), []

    def load():
        loads.append(1)
        return data

    copy = described(through_json(data), load)
    index = np.array([3, 1])
    np.testing.assert_array_equal(copy.train.take(index)["image"], data.train.take(index)["image"])
    np.testing.assert_array_equal(copy.test.take(index)["image"], data.test.take(index)["image"])
    np.testing.assert_array_equal(copy.test.labels(), data.test.labels())
    assert loads == [1]


@pytest.mark.parametrize("source", [OwnSource(3), SlowLabels(3), Joined((SlowLabels(3), OwnSource(2)))])
def test_labels_that_are_not_in_memory_are_not_counted(source):
    data = DataSet("x", source, None, classes=("a", "b"))
    assert describe(data)["label_counts"] == []
    assert len(described(through_json(data), never).train) == len(source)


def test_labels_in_memory_are_counted_in_parts_of_sources():
    rows = ArraySource({"label": np.array([1, 0, 1, 1], np.int32)})
    parts = Joined((Subset(rows, np.array([0, 1])), rows))
    assert describe(DataSet("x", parts, None, classes=("a", "b")))["label_counts"] == [2, 4]


def test_vocabularies_durations_and_arguments_are_kept():
    row = ArraySource({"tokens": np.zeros((1, 5), np.int32)})
    words = Vocabulary(("unknown", "|", "é"), 0)
    text = TextData("text:x", row, None, vocabulary=words, token_type="word", transform=partial(to_float, rows=1))
    copy = described(through_json(text), never)
    assert type(copy) is TextData and copy.vocabulary == words and copy.test is None
    assert copy.transform.func is to_float and copy.transform.keywords == {"rows": 1}
    music = Music("midi:x", row, row, notes=("60", "START"), durations=(Fraction(0), Fraction(1, 3)))
    assert described(through_json(music), never).durations == music.durations


def test_a_data_set_with_arrays_among_its_fields_is_not_described():
    row = ArraySource({"image": np.zeros((1, 2), np.uint8)})
    assert describe(WithTable("x", row, row, table=np.zeros(3))) is None


def test_an_anonymous_transform_is_not_described():
    row = ArraySource({"image": np.zeros((1, 2), np.uint8)})
    assert describe(DataSet("x", row, row, transform=lambda rows: rows)) is None


def test_a_module_that_is_broken_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "broken_module_of_a_user.py").write_text("def")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DescriptionError, match="SyntaxError"):
        described(through_json(catalogue.load("digits")) | {"class": "broken_module_of_a_user:X"}, never)


def test_a_transform_of_the_main_program_is_not_described(monkeypatch):
    monkeypatch.setattr(to_float, "__module__", "__main__")
    assert describe(catalogue.load("digits")) is None


@pytest.mark.parametrize("changes", [{"class": "no_such_module:X"}, {"class": "json:X"}, {"row": 3}, {"fields": {}}])
def test_a_damaged_description_is_one_line(changes):
    description = through_json(catalogue.load("digits"))
    with pytest.raises(DescriptionError, match=r"data\.json"):
        described(description | changes, never)
