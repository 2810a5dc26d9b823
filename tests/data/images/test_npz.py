"""A user's own arrays."""

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue

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
def test_a_tenth_is_held_out_where_there_is_no_test_split(tmp_path, names):
    data = load(tmp_path, dict(zip(names, (X, Y), strict=True)))
    parts = [source.take(np.arange(len(source))) for source in (data.train, data.test)]
    assert [len(part["label"]) for part in parts] == [45, 5]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in ("image", "label")}
    found, given = zip(joined["image"], joined["label"], strict=True), zip(X, Y, strict=True)
    assert sorted((image.tobytes(), label) for image, label in found) == sorted((i.tobytes(), y) for i, y in given)


def test_gray_images_get_a_channel_and_are_resized(tmp_path):
    data = load(tmp_path, {"images": X[..., 0]}, image_size=4)
    assert data.train.take(np.arange(3))["image"].shape == (3, 4, 4, 1)
    assert data.classes == ()


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
        {"images": X, "labels": Y - 1},
        {"images": np.array([{}], object)},
        {"x_train": X, "x_test": X[:, :4]},
        {"x_train": X, "y_train": Y, "x_test": X},
    ],
)
def test_other_arrays_are_user_errors(tmp_path, arrays):
    with pytest.raises(UserError, match=r"own\.npz"):
        load(tmp_path, arrays)


def test_damaged_files_are_user_errors(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", images=X)
    whole = (tmp_path / "whole.npz").read_bytes()
    middle = len(whole) // 2
    damaged = {
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 40]) + whole[middle + 40 :],
        "text": b"hello",
        "empty": b"",
    }
    for name, contents in damaged.items():
        (tmp_path / f"{name}.npz").write_bytes(contents)
        with pytest.raises(UserError, match=rf"{name}\.npz"):
            catalogue.load(f"npz:{tmp_path}/{name}.npz")
    np.save(tmp_path / "array.npy", X)
    for name in ("array.npy", "missing.npz"):
        with pytest.raises(UserError, match=name):
            catalogue.load(f"npz:{tmp_path}/{name}")
