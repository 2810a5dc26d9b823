import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import joined, only_class
from gdl_jax.data.images import quickdraw

DRAWINGS = np.random.default_rng(0).integers(0, 256, (50, 784)).astype(np.uint8)


def load(directory, name="camel"):
    return catalogue.load(f"quickdraw:{name}", data_dir=str(directory))


def test_googles_bitmaps_are_split_without_overlap(tmp_path):
    np.save(tmp_path / "full_numpy_bitmap_camel.npy", DRAWINGS)
    data = load(tmp_path)
    train, test = (source.take(np.arange(len(source)))["image"] for source in (data.train, data.test))
    assert train.shape == (45, 28, 28, 1) and test.shape == (5, 28, 28, 1)
    both = np.concatenate([train, test]).reshape(50, -1)
    np.testing.assert_array_equal(np.sort(both, axis=0), np.sort(DRAWINGS, axis=0))


def test_no_more_than_the_books_number_is_trained_on(tmp_path, monkeypatch):
    monkeypatch.setattr(quickdraw, "MOST_TRAINED_ON", 20)
    np.save(tmp_path / "full_numpy_bitmap_camel.npy", DRAWINGS)
    assert len(load(tmp_path).train) == 20


def test_labelled_drawings_keep_their_classes(tmp_path):
    (tmp_path / "camel").mkdir()
    labels = np.arange(50) % 2
    arrays = {"images": DRAWINGS.reshape(-1, 28, 28), "labels": labels, "classes": np.array(["cow", "horse"])}
    np.savez(tmp_path / "camel" / "both.npz", **arrays)
    data = only_class(load(tmp_path, "both"), "horse")
    assert len(data.train) + len(data.test) == 25
    assert set(data.train.take(np.arange(len(data.train)))["label"]) == {1}
    everything = joined(data)
    assert len(everything.train) == 25 and everything.test is None and everything.validation is None
    with pytest.raises(ConfigError, match=r"^only_class=pig: .*cow, horse"):
        only_class(data, "pig")


def test_what_is_missing_or_something_else_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"^dataset=quickdraw:camel: .*data_dir"):
        catalogue.load("quickdraw:camel")
    with pytest.raises(ConfigError, match=rf"^data_dir={tmp_path}: .*full_numpy_bitmap_camel\.npy"):
        load(tmp_path)
    np.save(tmp_path / "full_numpy_bitmap_camel.npy", np.zeros((20, 10), np.uint8))
    with pytest.raises(UserError, match=r"full_numpy_bitmap_camel\.npy: .*28x28"):
        load(tmp_path)
    (tmp_path / "full_numpy_bitmap_camel.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"full_numpy_bitmap_camel\.npy: "):
        load(tmp_path)


def test_the_quadrupeds_at_hand(data_dir):
    data = load(data_dir, "quadrupeds")
    assert (len(data.train), len(data.test), len(data.classes)) == (5398, 599, 15)
