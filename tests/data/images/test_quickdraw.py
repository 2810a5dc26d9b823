"""Quick, Draw! drawings: splits, classes, and files that cannot be read."""

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


def test_the_training_split_is_limited_to_the_books_number(tmp_path, monkeypatch):
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


def test_missing_files_and_other_arrays_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^dataset=quickdraw:camel: .*data_dir"):
        catalogue.load("quickdraw:camel")
    with pytest.raises(ConfigError, match=rf"^data_dir={tmp_path}: .*full_numpy_bitmap_camel\.npy"):
        load(tmp_path)
    np.save(tmp_path / "full_numpy_bitmap_camel.npy", np.zeros((20, 10), np.uint8))
    with pytest.raises(UserError, match=r"full_numpy_bitmap_camel\.npy: .*28x28"):
        load(tmp_path)
    for contents in (b"", b"no array", b"<?xml version='1.0'?><Error>", b"\x93NUMPY"):
        (tmp_path / "full_numpy_bitmap_camel.npy").write_bytes(contents)
        with pytest.raises(UserError, match=r"full_numpy_bitmap_camel\.npy: ") as raised:
            load(tmp_path)
        assert "pickle" not in str(raised.value)


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((1, 20, 784), np.uint8)},
        {"images": np.zeros(784 * 20, np.uint8)},
        {"images": np.zeros((20, 784))},
        {"images": np.zeros((9, 784), np.uint8)},
        {"images": np.uint8(3)},
        {"images": DRAWINGS, "labels": np.arange(49)},
        {"images": DRAWINGS, "labels": np.arange(50), "classes": np.array(["cow"])},
        {"drawings": DRAWINGS},
    ],
)
def test_other_shapes_and_labels_are_named(tmp_path, arrays):
    (tmp_path / "quickdraw").mkdir()
    np.savez(tmp_path / "quickdraw" / "camel.npz", **arrays)
    with pytest.raises(UserError, match=r"camel\.npz: "):
        load(tmp_path)


def test_an_archive_with_the_suffix_of_an_array_is_read(tmp_path):
    (tmp_path / "quickdraw").mkdir()
    with (tmp_path / "quickdraw" / "camel.npy").open("wb") as file:
        np.savez(file, images=DRAWINGS)
    assert len(load(tmp_path).train) == 45


def test_labels_without_classes_name_the_classes(tmp_path):
    (tmp_path / "camel").mkdir()
    np.savez(tmp_path / "camel" / "camel.npz", images=DRAWINGS, labels=np.arange(50) % 2 * 7)
    assert load(tmp_path).classes == ("0", "7")


def test_the_digest_follows_the_drawings(tmp_path):
    digests = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "full_numpy_bitmap_camel.npy", DRAWINGS[::-1] if name == "c" else DRAWINGS)
        digests.append(load(tmp_path / name).digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_quadrupeds_at_hand(data_dir):
    data = load(data_dir, "quadrupeds")
    assert (len(data.train), len(data.test), len(data.classes)) == (5398, 599, 15)
