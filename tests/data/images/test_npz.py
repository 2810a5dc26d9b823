"""A user's own arrays of images and labels."""

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import joined, only_class

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (50, 6, 5, 3), dtype=np.uint8)
Y = np.arange(50) % 4


def load(path, arrays, **options):
    np.savez(path / "own.npz", **arrays)
    return catalogue.load(f"npz:{path / 'own.npz'}", **options)


def test_given_splits_are_kept(tmp_path):
    data = load(tmp_path, {"x_train": X, "y_train": Y[:, None], "x_test": X[:7], "y_test": Y[:7, None]})
    rows = data.train.take(np.array([9, 2]))
    np.testing.assert_array_equal(rows["image"], X[[9, 2]])
    np.testing.assert_array_equal(rows["label"], [1, 2])
    assert rows["label"].dtype == np.int32 and data.classes == ("0", "1", "2", "3")
    assert (len(data.train), len(data.test), data.validation) == (50, 7, None)


@pytest.mark.parametrize("names", [("images", "labels"), ("image", "label"), ("x", "y")])
def test_a_tenth_is_held_out_without_a_test_split(tmp_path, names):
    data = load(tmp_path, dict(zip(names, (X, Y), strict=True)))
    parts = [source.take(np.arange(len(source))) for source in (data.train, data.test)]
    assert [len(part["label"]) for part in parts] == [45, 5]
    joined_rows = {name: np.concatenate([part[name] for part in parts]) for name in ("image", "label")}
    found, given = zip(joined_rows["image"], joined_rows["label"], strict=True), zip(X, Y, strict=True)
    assert sorted((image.tobytes(), label) for image, label in found) == sorted((i.tobytes(), y) for i, y in given)


def test_grey_images_get_a_channel_and_are_resized(tmp_path):
    data = load(tmp_path, {"images": X[..., 0]}, image_size=4)
    assert data.train.take(np.arange(3))["image"].shape == (3, 4, 4, 1)
    assert data.classes == ()


LARGE = 2**53 + 1  # no float64
IDS = {
    "ids": ([10, 20, 37], ("10", "20", "37")),
    "gaps": (np.array([1, 3, 7], np.uint8), ("1", "3", "7")),
    "negative": ([-1, 0, 1], ("-1", "0", "1")),
    "large": ([-LARGE, LARGE, LARGE + 2], (f"{-LARGE}", f"{LARGE}", f"{LARGE + 2}")),
    "unsigned": (np.array([0, 1, 2**63 - 1], np.uint64), ("0", "1", f"{2**63 - 1}")),
    "whole floats": ([0.0, 1.0, 5.0], ("0", "1", "5")),
    "strings": (["ant", "bee", "café"], ("ant", "bee", "café")),
    "bytes": ([b"ant", b"bee", b"cat"], ("ant", "bee", "cat")),
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("split", [False, True])
def test_labels_of_any_values_become_indices(tmp_path, kind, split):
    values, classes = IDS[kind]
    place = RNG.integers(0, 3, 50)
    labels = np.array(values)[place]
    given = {"images": X, "labels": labels}
    if split:  # each split lacks a class
        train, test = np.flatnonzero(place != 0), np.flatnonzero(place != 1)
        given = {"x_train": X[train], "y_train": labels[train], "x_test": X[test], "y_test": labels[test]}
    data = load(tmp_path, given)
    assert data.classes == classes
    rows = joined(data).train.take(np.arange(len(joined(data).train)))
    expected = {image.tobytes(): index for image, index in zip(X, place, strict=True)}
    assert rows["label"].dtype == np.int32
    assert [expected[image.tobytes()] for image in rows["image"]] == rows["label"].tolist()
    if split:
        assert len(only_class(data, classes[2]).train) == (place == 2).sum()


def test_booleans_are_two_classes(tmp_path):
    assert load(tmp_path, {"images": X, "labels": Y > 1}).classes == ("0", "1")


def test_classes_in_the_file_name_the_labels(tmp_path):
    names = np.array(["ant", "bee", "cat", "dog", "elk"])
    data = load(tmp_path, {"images": X, "labels": Y, "classes": names})
    assert data.classes == tuple(names)
    by_name = load(tmp_path, {"images": X, "labels": names[Y], "classes": names})
    np.testing.assert_array_equal(by_name.train.labels(), data.train.labels())
    assert by_name.classes == tuple(names)
    with pytest.raises(UserError, match=r"own\.npz: .*3"):
        load(tmp_path, {"images": X, "labels": Y, "classes": names[:3]})
    with pytest.raises(UserError, match=r"own\.npz: .*dog"):
        load(tmp_path, {"images": X, "labels": names[Y], "classes": names[:3]})


@pytest.mark.parametrize(
    "arrays",
    [
        {"pictures": X},
        {"x_train": X},
        {"images": X / 255.0},
        {"images": X[0, 0]},
        {"images": X[..., :2]},
        {"images": X[:0]},
        {"images": X[:1]},
        {"images": X, "labels": Y[:-1]},
        {"images": X, "labels": Y / 2},
        {"images": X, "labels": np.where(Y, np.nan, 0)},
        {"images": X, "labels": np.where(Y, np.inf, 0)},
        {"images": X, "labels": np.full(50, 2**64 - 1, np.uint64)},
        {"images": X, "labels": np.eye(4)[Y]},
        {"images": X, "labels": Y.astype("datetime64[s]")},
        {"images": X, "labels": np.array([None] * 50, object)},
        {"images": np.array([{}], object)},
        {"x_train": X, "x_test": X[:, :4]},
        {"x_train": X, "y_train": Y, "x_test": X},
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y.astype(str)},
        {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y[:3]},
    ],
)
def test_other_arrays_are_user_errors(tmp_path, arrays):
    with pytest.raises(UserError, match=r"own\.npz"):
        load(tmp_path, arrays)


@pytest.mark.parametrize("name", ["array.npy", "missing.npz", "page.npz"])
def test_other_files_are_user_errors(tmp_path, name):
    np.save(tmp_path / "array.npy", X)
    (tmp_path / "page.npz").write_text("<html>")
    with pytest.raises(UserError, match=name):
        catalogue.load(f"npz:{tmp_path}/{name}")


def test_the_digest_covers_contents_not_the_file(tmp_path):
    data = load(tmp_path, {"images": X, "labels": Y})
    np.savez_compressed(tmp_path / "moved.npz", labels=Y.astype(np.uint8), images=X, notes="any")
    moved = catalogue.load(f"npz:{tmp_path}/moved.npz", image_size=3)
    assert moved.digest == data.digest != ""
    others = [{"images": X[::-1], "labels": Y}, {"images": X, "labels": Y[::-1]}, {"images": X}]
    others.append({"images": X, "labels": np.array(["a", "b", "c", "d"])[Y]})
    assert len({data.digest, *(load(tmp_path, arrays).digest for arrays in others)}) == 5
