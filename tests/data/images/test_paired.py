"""Folders of pairs of images."""

import re

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue
from gdl_jax.data.images import folder, paired
from gdl_jax.data.images.domains import TwoDomains, swapped
from gdl_jax.data.images.folder import split_of

SPLITS = ("train", "validation", "test")


def save(path, *shades, size=(10, 12)):
    """Writes images of one shade each, side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.concatenate([np.full((size[1], size[0], 3), shade, np.uint8) for shade in shades], axis=1)
    Image.fromarray(pixels).save(path)


def load(root, **options):
    return catalogue.load(f"paired:{root}", **options)


def pairs(source):
    """Returns the shades of a split's pairs."""
    rows = source.take(np.arange(len(source)))
    assert rows["a_first"].tolist() == rows["b_first"].tolist() == [1] * len(source)
    assert (rows["a"] == rows["a"][:, :1, :1]).all() and (rows["b"] == rows["b"][:, :1, :1]).all()
    return list(zip(rows["a"][:, 0, 0, 0].tolist(), rows["b"][:, 0, 0, 0].tolist(), strict=True))


def fill(root, place, splits=(("train", 4), ("val", 2), ("test", 3))):
    """Writes pairs of the shades (n, n + 100); `place` has SPLIT, and DOMAIN unless they are side by side."""
    number = 0
    for split, count in splits:
        for _ in range(count):
            name = f"{place.replace('SPLIT', split)}/{number:02}"
            if "DOMAIN" in place:
                save(root / f"{name.replace('DOMAIN', 'A')}.png", number)
                save(root / f"{name.replace('DOMAIN', 'B')}.bmp", number + 100, size=(7, 5))
            else:
                save(root / f"{name}.png", number, number + 100)
            number += 1


def shifted(numbers):
    return [(number, number + 100) for number in numbers]


PLACES = ["SPLIT", "SPLIT/DOMAIN", "DOMAIN/SPLIT", "DOMAIN/SPLIT/deep", "SPLIT/deep"]


@pytest.mark.parametrize("place", PLACES)
def test_layouts_with_splits(tmp_path, place, capsys, monkeypatch):
    fill(tmp_path, place)
    with monkeypatch.context() as patch:
        for module in (folder, paired):
            patch.setattr(module, "read_image", lambda *_: pytest.fail("decoded too early"))
        data = load(tmp_path, image_size=6)
    assert type(data) is TwoDomains and data.paired and data.domains == ("A", "B")
    assert pairs(data.train) == shifted(range(4))
    assert pairs(data.validation) == shifted(range(4, 6)) and pairs(data.test) == shifted(range(6, 9))
    assert data.train.nbytes == 4 * (2 * 6 * 6 * 3 + 2)
    assert pairs(swapped(data).test) == [(b, a) for a, b in shifted(range(6, 9))]
    assert data.note == "" and capsys.readouterr().err == ""
    assert load(tmp_path).train.take(np.array([0]))["b"].shape == (1, 128, 128, 3)


@pytest.mark.parametrize("place", [".", "DOMAIN"])
def test_without_split_folders_names_decide(tmp_path, place):
    fill(tmp_path, place, [("", 60)])
    data = load(tmp_path, image_size=4)
    found = {split: pairs(getattr(data, split)) for split in SPLITS}
    assert sorted(pair for split in found.values() for pair in split) == shifted(range(60))
    suffix = ".png" if place == "." else ""
    for split, its_pairs in found.items():
        assert its_pairs and all(split_of(f"{number:02}{suffix}") == split for number, _ in its_pairs)


@pytest.mark.parametrize("place", PLACES[:3])
def test_without_a_test_folder_a_tenth_is_held_out(tmp_path, place, capsys):
    fill(tmp_path, place, [("train", 60), ("val", 3)])
    data = load(tmp_path, image_size=4)
    assert sorted(pairs(data.train) + pairs(data.test)) == shifted(range(60)) and 1 <= len(data.test) <= 15
    assert pairs(data.validation) == shifted(range(60, 63))
    assert "test" in data.note and data.note in capsys.readouterr().err


def test_images_outside_of_the_folders_are_skipped_and_noted(tmp_path):
    fill(tmp_path, "SPLIT/DOMAIN")
    save(tmp_path / "preview.png", 1)
    save(tmp_path / "train" / "grid.png", 1)
    data = load(tmp_path)
    assert len(data.train) == 4 and "1 other file (.png)" in data.note


@pytest.mark.parametrize("lonely", ["train/A/00.png", "train/B/03.bmp", "test/B/07.bmp"])
def test_an_image_without_partner_is_named(tmp_path, lonely):
    fill(tmp_path, "SPLIT/DOMAIN")
    partner = lonely.translate(str.maketrans("AB", "BA"))
    for path in tmp_path.glob(f"{partner.rpartition('.')[0]}.*"):
        path.unlink()
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path / lonely))}: "):
        load(tmp_path)


def test_a_missing_domain_and_an_ambiguous_partner_are_errors(tmp_path):
    save(tmp_path / "lone" / "A" / "1.png", 1)
    with pytest.raises(UserError, match=r"lone/A/1\.png: .* B"):
        load(tmp_path / "lone")
    fill(tmp_path / "twice", "SPLIT/DOMAIN")
    save(tmp_path / "twice" / "train" / "A" / "02.bmp", 1)
    with pytest.raises(UserError, match=r"train/A/02\.(png: .*02\.bmp|bmp: .*02\.png)"):
        load(tmp_path / "twice")


def test_an_odd_width_is_an_error_that_names_the_file(tmp_path):
    fill(tmp_path, "SPLIT")
    save(tmp_path / "train" / "02.png", 3, size=(11, 5))
    with pytest.raises(UserError, match=r"train/02\.png: .*11 pixels"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"train/02\.png: .*11 pixels"):
        paired.SideBySide(tmp_path, ["train/02.png"], 4).take(np.array([0]))


def test_too_few_pairs_and_missing_folders_are_errors(tmp_path):
    with pytest.raises(UserError, match="absent"):
        load(tmp_path / "absent")
    fill(tmp_path / "few", ".", [("", 1)])
    with pytest.raises(UserError, match=r"few: .*(train|test)"):
        load(tmp_path / "few")
    fill(tmp_path / "tests", "SPLIT", [("test", 2)])
    with pytest.raises(UserError, match=r"tests: .*train"):
        load(tmp_path / "tests")
    (tmp_path / "tests" / "train").mkdir()
    with pytest.raises(UserError, match="tests/train: "):
        load(tmp_path / "tests")


def test_copies_in_two_splits_are_noted_and_the_digest_follows_contents(tmp_path):
    fill(tmp_path / "x", "SPLIT")
    before = load(tmp_path / "x")
    (tmp_path / "x" / "test" / "06.png").write_bytes((tmp_path / "x" / "train" / "00.png").read_bytes())
    after = load(tmp_path / "x")
    assert "train/00.png" in after.note and "test/06.png" in after.note and before.digest != after.digest
    (tmp_path / "x").rename(tmp_path / "y")
    assert load(tmp_path / "y", image_size=3).digest == after.digest


def test_pairs_held_out_for_validation_are_not_trained_on(tmp_path):
    fill(tmp_path, "SPLIT", [("train", 9), ("test", 1)])
    data = load(tmp_path, image_size=4, validation_examples=3)
    assert len(data.validation) == 3 and sorted(pairs(data.train) + pairs(data.validation)) == shifted(range(9))


def test_facades_in_either_layout_go_from_labels_to_photos(tmp_path):
    for split in ("train", "test"):
        for number in range(2):
            save(tmp_path / "folders" / "facades" / split / "label" / f"{number:03}.jpg", number)
            save(tmp_path / "folders" / "facades" / split / "photo" / f"{number:03}.jpg", number + 100)
            save(tmp_path / "files" / "facades" / split / f"{number}.png", number + 100, number)  # photo left
    for layout in ("folders", "files"):
        data = catalogue.load("facades", data_dir=str(tmp_path / layout), image_size=8)
        assert (data.name, data.domains, data.paired, data.digest) == ("facades", ("label", "photo"), True, "")
        assert pairs(data.train) == shifted(range(2)) and len(data.test) == 2


def test_the_facades(data_dir):
    data = catalogue.load("facades", data_dir=str(data_dir), image_size=32)
    assert (len(data.train), data.validation, len(data.test)) == (400, None, 106)
    rows = data.train.take(np.arange(30))
    saturation = {name: (rows[name].max(-1) - rows[name].min(-1)).mean() for name in ("a", "b")}
    assert saturation["a"] > 150 > 60 > saturation["b"]  # label maps have pure colours, photos do not
