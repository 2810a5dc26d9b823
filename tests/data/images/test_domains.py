"""Data sets of two domains: unpaired rows, pairs, exchanged domains, and domains made of attributes or classes."""

import json

import jax
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.json_files import to_json
from gdl_jax.data import catalogue, dataset
from gdl_jax.data.dataset import ArraySource, DataSet, Subset, joined
from gdl_jax.data.description import describe, described
from gdl_jax.data.images import domains
from gdl_jax.data.images.domains import Paired, TwoDomains, Unpaired, by_domains, swapped

ATTRIBUTES = ("Beard", "-Odd", "Hat")


def numbered(count, first=0, **columns):
    """Returns a source of images whose pixels are their numbers."""
    pixels = np.arange(first, first + count, dtype=np.uint8)
    return ArraySource({"image": np.broadcast_to(pixels[:, None, None, None], (count, 4, 4, 3))} | columns)


def numbers(images):
    return images[:, 0, 0, 0].tolist()


def everything(source):
    return source.take(np.arange(len(source)))


def two_domains(source, **fields):
    return TwoDomains("x", source, source, transform=domains.to_float, **fields)


def never():
    pytest.fail("the data were loaded")


class Faces:
    """Source with attributes that can only be read with the images."""

    def __init__(self, count):
        self.inner = numbered(count, attributes=np.indices((count, 3))[0].astype(np.int8) % 2)
        self.nbytes = self.inner.nbytes

    def __len__(self):
        return len(self.inner)

    def take(self, indices):
        return self.inner.take(indices)


def test_the_smaller_domain_is_repeated_and_none_is_cut():
    source = Unpaired(numbered(3), numbered(7, first=100))
    rows = everything(source)
    assert len(source) == 7
    assert numbers(rows["a"]) == [0, 1, 2, 0, 1, 2, 0] and numbers(rows["b"]) == list(range(100, 107))
    assert rows["a_first"].tolist() == [1, 1, 1, 0, 0, 0, 0] and rows["b_first"].tolist() == [1] * 7
    assert rows["a_first"].dtype == np.uint8
    assert source.nbytes == sum(array.nbytes for array in rows.values())
    some = source.take(np.array([6, 2]))
    assert numbers(some["a"]) == [0, 2] and numbers(some["b"]) == [106, 102]


def test_weighted_means_count_every_image_once():
    rows = everything(Unpaired(numbered(5), numbered(3)))
    for domain, count in (("a", 5), ("b", 3)):
        mean = np.average(rows[domain][:, 0, 0, 0], weights=rows[f"{domain}_first"])
        assert mean == np.arange(count).mean()


def test_pairs_have_the_attributes_of_b():
    marks = np.arange(8, dtype=np.int8).reshape(4, 2)
    source = Paired(numbered(4), numbered(4, first=9, attributes=marks))
    rows = source.take(np.array([3, 0]))
    assert numbers(rows["a"]) == [3, 0] and numbers(rows["b"]) == [12, 9]
    np.testing.assert_array_equal(rows["attributes"], marks[[3, 0]])
    assert rows["a_first"].tolist() == rows["b_first"].tolist() == [1, 1]


@pytest.mark.parametrize("make", [lambda: Paired(numbered(3), numbered(4)), lambda: Unpaired(numbered(0), numbered(4))])
def test_sources_of_wrong_lengths_are_refused(make):
    with pytest.raises(ValueError, match=r"[34]"):
        make()


def test_to_float_scales_the_images_only():
    marks = np.ones((2, 3), np.int8)
    rows = everything(Unpaired(numbered(2, first=254), numbered(2, attributes=marks)))
    batch = jax.jit(domains.to_float)(rows)
    np.testing.assert_allclose(batch["a"][:, 0, 0, 0], np.array([254, 255]) / 255, rtol=1e-6)
    assert all(array.dtype == np.float32 for array in batch.values()) and set(batch) == set(rows)
    assert batch["a_first"].tolist() == [1, 1] and np.asarray(batch["b_attributes"]).sum() == 6


def test_exchanged_domains_keep_their_images_weights_and_attributes():
    marks = np.arange(4, dtype=np.int8).reshape(2, 2)
    data = two_domains(Unpaired(numbered(2, attributes=marks), numbered(3, first=50)), domains=("cats", "dogs"))
    before, after = data, swapped(data)
    assert after.domains == ("dogs", "cats") and after.validation is None
    rows, other = everything(before.train), everything(after.train)
    for name, swapped_name in (("a", "b"), ("b", "a"), ("a_first", "b_first"), ("a_attributes", "b_attributes")):
        np.testing.assert_array_equal(rows[name], other[swapped_name])
    assert set(swapped(after).train.take(np.arange(2))) == set(rows)
    pairs = swapped(two_domains(Paired(numbered(2), numbered(2, attributes=marks)))).train
    np.testing.assert_array_equal(everything(pairs)["attributes"], marks)
    assert pairs.nbytes > 0 and len(pairs) == 2


def test_a_description_is_enough_without_the_data():
    data = two_domains(Unpaired(numbered(2), numbered(5)), domains=("cats", "dogs"))
    for original in (data, swapped(data)):
        copy = described(json.loads(to_json(describe(original))), never)
        assert type(copy) is TwoDomains and copy.domains == original.domains and copy.paired is False
        assert copy.transform is domains.to_float and len(copy.train) == 5
        assert {name: array.shape for name, array in copy.example().items()} == {
            name: array.shape for name, array in original.example().items()
        }
        exchanged = swapped(copy)
        assert exchanged.domains == original.domains[::-1] and set(exchanged.example()) == set(copy.example())
    read = described(json.loads(to_json(describe(data))), lambda: data).test
    assert numbers(read.take(np.array([4]))["a"]) == [0]


@pytest.fixture
def faces():
    """Returns a set with attributes: the number's last three bits."""
    bits = ((np.arange(40)[:, None] >> np.arange(3)) & 1).astype(np.int8)
    parts = {"train": slice(0, 24), "validation": slice(24, 32), "test": slice(32, 40)}
    sources = {
        name: Subset(numbered(40, attributes=bits), np.arange(40)[part])  # as a set with `train_examples`
        for name, part in parts.items()
    }
    return DataSet("faces", **sources, attributes=ATTRIBUTES, note="drawn", digest="abc")


def test_domains_are_the_rows_with_and_without_an_attribute(faces):
    data = by_domains(faces, "-Beard", "Hat")
    assert data.domains == ("without Beard", "Hat") and data.attributes == ATTRIBUTES and not data.paired
    assert (data.digest, data.name) == ("abc", "faces")
    assert data.note.startswith("drawn; 6 ")  # training images with a hat and without a beard
    for split, first, last in (("train", 0, 24), ("validation", 24, 32), ("test", 32, 40)):
        rows = everything(getattr(data, split))
        once = {domain: rows[domain][rows[f"{domain}_first"] == 1] for domain in ("a", "b")}
        assert numbers(once["a"]) == [n for n in range(first, last) if not n & 1]
        assert numbers(once["b"]) == [n for n in range(first, last) if n & 4]
        np.testing.assert_array_equal(rows["a_attributes"][:, 1], (rows["a"][:, 0, 0, 0] >> 1) & 1)


def test_domains_without_a_common_image_need_no_note(faces):
    assert by_domains(faces, "-Hat", "Hat").note == "drawn"


def test_a_name_that_begins_with_a_minus_is_itself(faces):
    train = everything(by_domains(faces, "-Odd", "--Odd").train)
    assert all(number & 2 for number in numbers(train["a"])) and not any(number & 2 for number in numbers(train["b"]))


def test_domains_are_classes_of_any_image_set():
    digits = catalogue.load("digits", train_examples=500)
    data = by_domains(digits, "3", "-8")
    whole = everything(digits.train)
    rows = everything(data.train)
    np.testing.assert_array_equal(rows["a"][rows["a_first"] == 1], whole["image"][whole["label"] == 3])
    np.testing.assert_array_equal(rows["b"][rows["b_first"] == 1], whole["image"][whole["label"] != 8])
    assert set(rows) == {"a", "b", "a_first", "b_first"} and data.domains == ("3", "without 8")


def test_attributes_that_come_with_images_only_are_read_in_blocks(monkeypatch):
    monkeypatch.setattr(dataset, "BLOCK", 7)
    data = by_domains(joined(DataSet("x", Faces(20), Faces(9), attributes=ATTRIBUTES)), "Hat", "-Hat")
    assert data.test is None
    rows = everything(data.train)
    assert numbers(rows["a"]) == [*range(1, 20, 2), *range(1, 9, 2), 1]
    assert numbers(rows["b"]) == [*range(0, 20, 2), *range(0, 9, 2)]


@pytest.mark.parametrize(("a", "b", "named"), [("Beards", "Hat", "Beards"), ("Hat", "-Beards", "-Beards")])
def test_unknown_attributes_are_named(faces, a, b, named):
    with pytest.raises(ConfigError, match=f"^domains={a},{b}: .*{named}.*Beard, -Odd, Hat"):
        by_domains(faces, a, b)


def test_empty_domains_and_sets_without_attributes_are_refused(faces):
    with_hats = DataSet("x", Subset(faces.train, np.arange(4, 8)), None, attributes=ATTRIBUTES)
    with pytest.raises(ConfigError, match=r"^domains=-Hat,Hat: .*train.*-Hat"):
        by_domains(with_hats, "-Hat", "Hat")
    with pytest.raises(ConfigError, match=r"^domains=a,b: "):
        by_domains(DataSet("x", numbered(3), None), "a", "b")
    with pytest.raises(ConfigError, match=r"^domains=a,b: .*cats"):
        by_domains(two_domains(Paired(numbered(3), numbered(3)), domains=("cats", "dogs")), "a", "b")
