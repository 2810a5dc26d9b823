"""Image folders: read lazily, split stably."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import joined, only_class
from gdl_jax.data.images import folder
from gdl_jax.data.images.folder import ImageFiles, list_images, split_of


def fill(root, names):
    """Writes images of one colour each; red and green encode the file's number."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (number % 16 * 16, number // 16 * 16, 77)).save(root / name)


def numbers(images):
    """Returns the numbers that `fill` gave."""
    return (images[:, 0, 0, 0] // 16 + images[:, 0, 0, 1] // 16 * 16).tolist()


def files_of(data):
    return {split: [str(name) for name in getattr(data, split).names] for split in ("train", "validation", "test")}


def test_many_threads_read_the_requested_rows(tmp_path):
    names = [f"{number:03}.png" for number in range(100)]
    fill(tmp_path, names)
    source = ImageFiles(tmp_path, names, 8, {"label": np.arange(100)})
    assert source.nbytes == 100 * 8 * 8 * 3 + 800 and len(source) == 100
    wanted = [np.random.default_rng(seed).integers(0, 100, 17) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        for index, rows in zip(wanted, pool.map(source.take, wanted), strict=True):
            assert numbers(rows["image"]) == index.tolist() == rows["label"].tolist()
            assert rows["image"].shape == (17, 8, 8, 3)


def test_subfolders_are_classes_and_no_image_is_decoded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder, "read_image", lambda *_: pytest.fail("decoded too early"))
    fill(tmp_path, [f"{kind}/deep/{number}.PNG" for kind in ("cat", "ant", "bee") for number in range(60)])
    (tmp_path / ".hidden").mkdir()
    for name in (".hidden/x.png", "cat/._0.png", "notes.txt"):
        (tmp_path / name).write_text("not an image")
    data = catalogue.load(f"folder:{tmp_path}", image_size=16)
    assert data.classes == ("ant", "bee", "cat")
    for split, names in files_of(data).items():
        labels = getattr(data, split).columns["label"]
        assert names == sorted(names)
        assert [data.classes[label] for label in labels] == [name.split("/")[0] for name in names]
    bees = joined(only_class(data, "bee")).train
    assert len(bees) == sum(name.startswith("bee/") for names in files_of(data).values() for name in names)
    assert ".txt" in data.note and data.note in capsys.readouterr().err


@pytest.mark.parametrize("names", ["{}.png", "only/{}.png"])
def test_without_classes_there_are_no_labels(tmp_path, names):
    fill(tmp_path, [names.format(number) for number in range(60)])
    data = catalogue.load(f"folder:{tmp_path}")
    assert data.classes == () and set(data.train.take(np.arange(2))) == {"image"}
    assert data.note == ""


def test_splits_are_disjoint_and_stable_when_files_change(tmp_path):
    names = [f"{number}.png" for number in range(250)]
    fill(tmp_path, names)
    before = files_of(catalogue.load(f"folder:{tmp_path}"))
    assert sorted(name for files in before.values() for name in files) == sorted(names)
    for number in range(0, 250, 3):
        (tmp_path / f"{number}.png").unlink()
    fill(tmp_path, [f"new{number}.png" for number in range(50)])
    after = files_of(catalogue.load(f"folder:{tmp_path}"))
    for split in before:
        kept = [name for name in before[split] if (tmp_path / name).exists()]
        assert kept == [name for name in after[split] if not name.startswith("new")]


def test_splits_have_their_shares():
    splits = [split_of(f"{number:06}.jpg") for number in range(20_000)]
    for split, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(splits.count(split) / 20_000 - share) < 4 * np.sqrt(share * (1 - share) / 20_000)


def test_linked_classes_are_loaded(tmp_path):
    fill(tmp_path, [f"{kind}/{number}.png" for kind in ("mine/cats", "mine/dogs", "birds") for number in range(40)])
    (tmp_path / "mine" / "birds").symlink_to(tmp_path / "birds")
    data = catalogue.load(f"folder:{tmp_path}/mine", image_size=8)
    assert data.classes == ("birds", "cats", "dogs")
    assert np.bincount(joined(data).train.labels()).tolist() == [40, 40, 40]


def test_copies_in_different_splits_are_noted(tmp_path, capsys):
    fill(tmp_path, [f"{number}.png" for number in range(60)])
    names = files_of(catalogue.load(f"folder:{tmp_path}"))
    assert capsys.readouterr().err == ""
    copied, original = tmp_path / names["test"][0], tmp_path / names["train"][0]
    copied.write_bytes(original.read_bytes())
    note = catalogue.load(f"folder:{tmp_path}").note
    assert copied.name in note and original.name in note and note in capsys.readouterr().err


def test_the_digest_follows_contents_not_the_path(tmp_path):
    fill(tmp_path / "a", [f"{number}.png" for number in range(60)])
    before = catalogue.load(f"folder:{tmp_path}/a").digest
    (tmp_path / "a").rename(tmp_path / "b")
    assert catalogue.load(f"folder:{tmp_path}/b", image_size=9).digest == before != ""
    Image.new("RGB", (12, 10)).save(tmp_path / "b" / "7.png")
    assert catalogue.load(f"folder:{tmp_path}/b").digest != before


def test_names_that_are_not_utf8_are_read(tmp_path):
    fill(tmp_path, [os.fsdecode(b"%b/\xe9%d.png" % (kind, i)) for kind in (b"caf\xe9", b"\xff") for i in range(40)])
    data = catalogue.load(f"folder:{tmp_path}", image_size=4)
    assert data.classes == ("caf\\xe9", "\\xff")
    assert len(joined(data).train.take(np.arange(80))["image"]) == 80
    data.note.encode()


def test_user_errors_name_the_folder_or_the_file(tmp_path):
    with pytest.raises(UserError, match="absent"):
        catalogue.load(f"folder:{tmp_path}/absent")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match="bare"):
        list_images(tmp_path / "bare")
    fill(tmp_path / "few", ["1.png", "2.png"])
    with pytest.raises(UserError, match="few"):
        catalogue.load(f"folder:{tmp_path}/few")
    fill(tmp_path / "hurt", ["1.png", "2.png"])
    (tmp_path / "hurt" / "2.png").write_bytes((tmp_path / "hurt" / "2.png").read_bytes()[:50])
    with pytest.raises(UserError, match=r"2\.png"):
        ImageFiles(tmp_path / "hurt", ["1.png", "2.png"], 8).take(np.array([0, 1]))
