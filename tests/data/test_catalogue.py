"""The catalogue: names, splits, subsets, the bundled digits; and the cache."""

import sys
import types

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data import catalogue
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import ArraySource, DataSet, Subset, joined


@pytest.fixture
def numbered(tmp_path):
    """Returns the name of a set of 40 training images; each has its number as its label and as its pixels."""
    images = np.broadcast_to(np.arange(50, dtype=np.uint8)[:, None, None, None], (50, 4, 4, 1))
    np.savez(
        tmp_path / "n.npz", x_train=images[:40], y_train=np.arange(40), x_test=images[40:], y_test=np.arange(40, 50)
    )
    return f"npz:{tmp_path}/n.npz"


def labels(source):
    rows = source.take(np.arange(len(source)))
    np.testing.assert_array_equal(rows["image"][:, 0, 0, 0], rows["label"])
    return rows["label"].tolist()


def test_digits_are_balanced_in_disjoint_splits():
    data = catalogue.load("digits")
    images = []
    for source, count in ((data.train, 400), (data.validation, 50), (data.test, 50)):
        rows = source.take(np.arange(len(source)))
        assert np.bincount(rows["label"]).tolist() == [count] * 10
        assert rows["image"].shape == (10 * count, 28, 28, 1) and rows["image"].dtype == np.uint8
        assert rows["image"].max() == 255
        images += [image.tobytes() for image in rows["image"]]
    assert len(set(images)) == 5000


def test_digits_carry_their_own_labels():
    data = catalogue.load("digits")
    train, test = (source.take(np.arange(len(source))) for source in (data.train, data.test))
    means = np.stack([train["image"][train["label"] == digit].mean(0).ravel() for digit in range(10)])
    nearest = ((test["image"].reshape(-1, 1, 784) - means) ** 2).sum(-1).argmin(-1)
    assert (nearest == test["label"]).mean() > 0.75  # chance is 0.1


def test_digits_are_the_same_each_time_and_at_other_sizes():
    first, second = (catalogue.load("digits", image_size=size).train.take(np.arange(9)) for size in (None, 14))
    np.testing.assert_array_equal(first["label"], second["label"])
    blocks = first["image"].astype(float).reshape(9, 14, 2, 14, 2, 1).mean((2, 4))
    assert np.abs(second["image"] - blocks).mean() < 10


def test_train_examples_keeps_the_first(numbered):
    data = catalogue.load(numbered, train_examples=7)
    assert labels(data.train) == list(range(7))
    assert data.train.nbytes == 7 * (16 + 4)
    assert labels(data.test) == list(range(40, 50))


def test_validation_examples_are_held_out_of_the_training_split(numbered):
    data = catalogue.load(numbered, validation_examples=10)
    kept, held_out = labels(data.train), labels(data.validation)
    assert len(held_out) == 10 and sorted(kept + held_out) == list(range(40)) and kept == sorted(kept)
    assert labels(catalogue.load(numbered, validation_examples=10).validation) == held_out
    assert labels(catalogue.load(numbered, validation_examples=10, seed=1).validation) != held_out
    assert labels(catalogue.load(numbered, validation_examples=10, train_examples=5).train) == kept[:5]
    assert catalogue.load(numbered).validation is None


@pytest.mark.parametrize("options", [{"train_examples": 41}, {"train_examples": -1}, {"validation_examples": 40}])
def test_requests_for_too_many_examples_are_refused(numbered, options):
    with pytest.raises(ConfigError, match=f"^{next(iter(options))}="):
        catalogue.load(numbered, **options)


def test_a_set_with_a_validation_split_gets_no_other():
    with pytest.raises(ConfigError, match=r"^validation_examples=5: digits"):
        catalogue.load("digits", validation_examples=5)


def test_a_subset_of_a_subset():
    source = ArraySource({"x": np.arange(100)})
    subset = Subset(Subset(source, np.arange(10, 60)), np.array([49, 0, 7]))
    np.testing.assert_array_equal(subset.take(np.array([2, 0]))["x"], [17, 59])
    assert len(subset) == 3 and subset.nbytes == 24


def test_joined_splits_are_read_lazily(numbered):
    everything = joined(catalogue.load(numbered, validation_examples=10))
    assert sorted(labels(everything.train)) == list(range(50)) and everything.train.nbytes == 50 * (16 + 4)
    assert everything.train.labels().tolist() == labels(everything.train)
    index = np.array([49, 0, 31, 49, 35, 1])
    np.testing.assert_array_equal(everything.train.take(index)["label"], everything.train.labels()[index])
    assert everything.train.take(index[:0])["image"].shape == (0, 4, 4, 1)
    assert everything.validation is None and everything.test is None


def test_avatars_get_count_size_and_seed(monkeypatch):
    given, source = [], ArraySource({"image": np.zeros((2, 4, 4, 3), np.uint8)})
    module = types.ModuleType("gdl_jax.data.images.avatars")
    module.load = lambda *arguments: given.append(arguments) or DataSet("avatars", source, source)
    monkeypatch.setitem(sys.modules, "gdl_jax.data.images.avatars", module)
    for size in (32, None):
        catalogue.load("avatars", image_size=size, avatars=50, seed=4)
    assert given == [(50, 32, 4), (50, catalogue.AVATAR_SIZE, 4)]


@pytest.mark.parametrize("name", ["mnits", "", "folder:", "folder", "digits:5", "PATH:x", "folder:PATH:", "npz"])
def test_unknown_names_are_errors_that_list_the_known(name, tmp_path):
    with pytest.raises(UserError) as raised:
        catalogue.load(name)
    if isinstance(raised.value, ConfigError):
        assert (raised.value.field, raised.value.value) == ("dataset", name)
    if name != "folder:PATH:":  # a folder that isn't there
        assert all(known in str(raised.value) for known in catalogue.DATASETS)


def test_cached_arrays_are_made_once_and_replaced_if_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path / "new" / "cache"))
    made = []

    def make():
        made.append(1)
        return {"x": np.arange(1000)}

    for _ in range(2):
        np.testing.assert_array_equal(cached_arrays("thing.npz", make)["x"], np.arange(1000))
    assert len(made) == 1
    path = tmp_path / "new" / "cache" / "thing.npz"
    for damage in (path.read_bytes()[:500], b"", b"nonsense"):
        path.write_bytes(damage)
        np.testing.assert_array_equal(cached_arrays("thing.npz", make)["x"], np.arange(1000))
    assert len(made) == 4
    assert [found.name for found in path.parent.iterdir()] == ["thing.npz"]


def full_disk(*arguments, **options):
    raise OSError("16 requested and 0 written")


def test_without_a_cache_arrays_are_computed_after_one_warning(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        np.testing.assert_array_equal(cached_arrays("thing.npz", lambda: {"x": np.arange(3)})["x"], np.arange(3))
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{tmp_path}/file" in error


def test_a_full_disk_is_a_warning_and_leaves_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(np, "savez", full_disk)
    np.testing.assert_array_equal(cached_arrays("thing.npz", lambda: {"x": np.arange(3)})["x"], np.arange(3))
    assert list(tmp_path.iterdir()) == []
    assert "16 requested" in capsys.readouterr().err


@pytest.fixture
def homeless(monkeypatch):
    """Removes the home directory: HOME is not set, and the user is not in the password file."""

    def unknown(*_):
        raise KeyError("uid not found")

    for name in ("HOME", "USERPROFILE", "GDL_JAX_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


def test_without_a_home_directory_nothing_is_cached(homeless, capsys):
    assert cached_arrays("thing.npz", lambda: {"x": np.arange(3)})["x"].tolist() == [0, 1, 2]
    assert "GDL_JAX_CACHE" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["~/mine", "~no_such_user/mine"])
def test_paths_without_a_home_directory_are_errors(homeless, path):
    for name in ("npz", "folder", "rollouts", "latents", "unpaired", "paired"):
        with pytest.raises(ConfigError, match=f"^dataset={name}:{path}: "):
            catalogue.load(f"{name}:{path}")
    for name in ("mnist", "quickdraw:camel"):
        with pytest.raises(ConfigError, match=f"^data_dir={path}: "):
            catalogue.load(name, data_dir=path)


def test_a_tilde_is_the_home_directory(numbered, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(catalogue.load("npz:~/n.npz").train) == 40
    images = np.zeros((5, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=np.arange(5), x_test=images, y_test=np.arange(5))
    assert len(catalogue.load("mnist", data_dir="~").train) == 5
