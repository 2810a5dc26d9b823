"""Folders of unpaired images."""

import re

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import UserError
from gdl_jax.data import catalogue
from gdl_jax.data.images import folder
from gdl_jax.data.images.domains import TwoDomains


def fill(root, counts, mode="RGB", suffix="png"):
    """Writes images into subfolders, {name: number}, each of one shade (its number, a hundred more in domain B)."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            shade = number + 100 * name.endswith("B")
            colour = shade if mode == "L" else (shade,) * 3
            Image.new(mode, (9 + number, 10 + len(name)), colour).save(root / name / f"{number:02}.{suffix}")


def load(root, **options):
    return catalogue.load(f"unpaired:{root}", **options)


def shades(images):
    return images[:, 0, 0, 0].tolist()


def everything(source):
    return source.take(np.arange(len(source)))


def once(source, domain):
    """Returns the shades of the images of a domain, each once."""
    rows = everything(source)
    return shades(rows[domain][rows[f"{domain}_first"] == 1])


@pytest.fixture
def root(tmp_path):
    fill(tmp_path, {"trainA": 5, "trainB": 3, "testA": 1, "testB": 4})
    return tmp_path


def test_images_of_any_size_and_number_are_read_lazily(root, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(folder, "read_image", lambda *_: pytest.fail("decoded too early"))
        data = load(root)
    assert type(data) is TwoDomains and not data.paired and data.domains == ("A", "B") and data.validation is None
    rows = everything(data.train)
    assert rows["a"].shape == (5, 128, 128, 3) and rows["b"].dtype == np.uint8
    assert shades(rows["a"]) == [0, 1, 2, 3, 4] and shades(rows["b"]) == [100, 101, 102, 100, 101]
    assert once(data.test, "a") == [0] and once(data.test, "b") == [100, 101, 102, 103]
    assert data.train.nbytes == 5 * (2 * 128 * 128 * 3 + 2)
    assert load(root, image_size=16).train.take(np.array([4]))["b"].shape == (1, 16, 16, 3)
    assert data.note == "" and capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["val", "validation"])
def test_validation_folders_are_the_validation_split(root, name):
    fill(root, {f"{name}A": 2, f"{name}B": 2})
    assert once(load(root).validation, "b") == [100, 101]


def test_without_test_folders_a_tenth_is_held_out(tmp_path, capsys):
    fill(tmp_path, {"trainA": 60, "trainB": 40})
    data = load(tmp_path, image_size=4)
    for domain, first, count in (("a", 0, 60), ("b", 100, 40)):
        train, test = once(data.train, domain), once(data.test, domain)
        assert sorted(train + test) == list(range(first, first + count)) and 1 <= len(test) <= count // 4
    assert "testA" in data.note and data.note in capsys.readouterr().err


def test_a_set_too_small_to_hold_images_out_is_an_error(tmp_path):
    fill(tmp_path, {"trainA": 1, "trainB": 40})
    with pytest.raises(UserError, match="trainA"):
        load(tmp_path)


@pytest.mark.parametrize("removed", ["trainA", "trainB", "testA", "testB"])
@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_or_missing_folder_is_named(root, removed, empty):
    for path in (root / removed).iterdir():
        path.unlink()
    if not empty:
        (root / removed).rmdir()
    with pytest.raises(UserError, match=f"^{re.escape(str(root))}.*{removed}"):
        load(root)


def test_a_missing_folder_or_an_unreadable_image_is_named(root):
    with pytest.raises(UserError, match="absent"):
        load(root / "absent")
    (root / "trainB" / "01.png").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"trainB/01\.png"):
        everything(load(root).train)


@pytest.mark.parametrize(("grey", "suffix"), [("A", "png"), ("B", "jpg")])
def test_one_grey_domain_is_noted(tmp_path, capsys, grey, suffix):
    fill(tmp_path, {f"train{grey}": 3, f"test{grey}": 1}, "L", suffix)
    colour = "B" if grey == "A" else "A"
    fill(tmp_path, {f"train{colour}": 4, f"test{colour}": 1})
    data = load(tmp_path, image_size=8)
    assert f"train{grey}" in data.note and data.note in capsys.readouterr().err
    rows = everything(data.train)
    assert rows["a"].shape == rows["b"].shape == (4, 8, 8, 3)


def test_two_grey_domains_are_not_noted(tmp_path):
    fill(tmp_path, {"trainA": 2, "trainB": 2, "testA": 1, "testB": 1}, "L")
    assert load(tmp_path).note == ""


def test_copies_and_other_files_are_noted(root):
    (root / "trainA" / "notes.txt").write_text("not an image")
    (root / "testB" / "copy.png").write_bytes((root / "trainB" / "00.png").read_bytes())
    note = load(root).note
    assert ".txt" in note and "trainB/00.png" in note and "testB/copy.png" in note


def test_the_digest_follows_contents_not_the_path(root):
    before = load(root).digest
    assert load(root.rename(root.parent / "moved"), image_size=9).digest == before != ""
    Image.new("RGB", (3, 3)).save(root.parent / "moved" / "testA" / "00.png")
    assert load(root.parent / "moved").digest != before


def test_images_held_out_for_validation_are_not_trained_on(tmp_path):
    fill(tmp_path, {"trainA": 9, "trainB": 4, "testA": 1, "testB": 1})
    data = load(tmp_path, image_size=4, validation_examples=3)
    for domain, shades_of_all in (("a", range(9)), ("b", range(100, 104))):
        train, held_out = once(data.train, domain), once(data.validation, domain)
        assert len(held_out) == 3 and sorted(train + held_out) == list(shades_of_all)
        assert not set(shades(everything(data.train)[domain])) & set(shades(everything(data.validation)[domain]))
    again = load(tmp_path, image_size=4, validation_examples=3, train_examples=2)
    assert once(again.validation, "a") == once(data.validation, "a")
    assert once(again.train, "a") == once(data.train, "a")[:2] and once(again.train, "b") == once(data.train, "b")
    with pytest.raises(UserError, match=r"^validation_examples=4: "):
        load(tmp_path, validation_examples=4)


@pytest.mark.parametrize(
    ("name", "counts", "names"),
    [
        ("apple2orange", (995, 1019, 266, 248), ("apples", "oranges")),
        ("monet2photo", (1072, 1072, 121, 121), ("paintings", "photos")),
    ],
)
def test_the_sets_of_the_book(data_dir, name, counts, names):
    data = catalogue.load(name, data_dir=str(data_dir), image_size=32)
    assert (data.name, data.domains, data.digest) == (name, names, "")
    found = (len(data.train.a), len(data.train.b), len(data.test.a), len(data.test.b))
    assert found == counts and len(data.train) == max(counts[:2])
    rows = data.train.take(np.arange(40))
    # Paintings and photos differ little in their mean colour; oranges have less blue.
    assert rows["a"].shape == (40, 32, 32, 3) and rows["a"].std() > 30
    if name == "apple2orange":
        assert rows["b"][..., 2].mean() < rows["a"][..., 2].mean()


def test_a_data_dir_without_the_set_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"^data_dir=.*monet2photo"):
        catalogue.load("monet2photo", data_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"^dataset=apple2orange: "):
        catalogue.load("apple2orange")
