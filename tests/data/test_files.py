"""Folders: links, hidden and unreadable files, names of any bytes, fingerprints."""

import os

import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data import files
from gdl_jax.data.files import describe_copies, describe_others, hash_contents, list_files, printable, scan

SUFFIXES = (".png",)


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def names_in(root):
    return list_files(root, "images", SUFFIXES)


def test_visible_files_of_the_kind_are_listed_and_others_counted(tmp_path):
    fill(tmp_path, "b/2.PNG", "a.png", "b/deep/er/3.png", "x.txt", "b/y.txt", "b/z.heic", "README")
    fill(tmp_path, ".hidden/x.png", "b/._2.PNG", ".DS_Store", "lost+found/x.png")
    os.mkfifo(tmp_path / "pipe.png")
    listing = scan(tmp_path, "images", SUFFIXES)
    assert listing.names == ["a.png", "b/2.PNG", "b/deep/er/3.png"]
    assert listing.sizes == [len("a.png"), len("b/2.PNG"), len("b/deep/er/3.png")]
    assert listing.others == {".txt": 2, ".heic": 1, "": 1, ".png": 1}
    note = describe_others(listing.others)
    assert "5" in note and ".txt" in note and ".heic" in note
    assert describe_others(listing.others - listing.others) == ""


def test_links_to_folders_and_files_are_followed(tmp_path):
    fill(tmp_path, "store/birds/1.png", "store/one.png", "mine/cats/2.png")
    (tmp_path / "mine" / "birds").symlink_to(tmp_path / "store" / "birds")
    (tmp_path / "mine" / "cats" / "linked.png").symlink_to(tmp_path / "store" / "one.png")
    assert names_in(tmp_path / "mine") == ["birds/1.png", "cats/2.png", "cats/linked.png"]
    (tmp_path / "all").symlink_to(tmp_path / "mine")
    assert names_in(tmp_path / "all") == names_in(tmp_path / "mine")


def test_a_file_counts_once_in_each_class(tmp_path):
    fill(tmp_path, "cats/1.png", "cats/old/2.png", "dogs/3.png")
    (tmp_path / "cats" / "again.png").symlink_to("1.png")
    (tmp_path / "cats" / "a_link").symlink_to("old")
    (tmp_path / "dogs" / "1.png").symlink_to("../cats/1.png")
    (tmp_path / "dogs" / "also.png").symlink_to("../cats/1.png")
    (tmp_path / "both").symlink_to("cats")
    assert names_in(tmp_path) == [
        *("both/1.png", "both/old/2.png", "cats/1.png", "cats/old/2.png", "dogs/1.png", "dogs/3.png"),  # no again.png
    ]
    os.link(tmp_path / "cats" / "1.png", tmp_path / "cats" / "hard.png")  # a name of its own, as a copy has
    assert "cats/hard.png" in names_in(tmp_path)


def test_loops_of_links_end(tmp_path):
    fill(tmp_path, "cats/1.png", "cats/in/2.png", "dogs/3.png")
    (tmp_path / "cats" / "in" / "up").symlink_to("..")
    (tmp_path / "cats" / "root").symlink_to(tmp_path)
    (tmp_path / "dogs" / "self").symlink_to(tmp_path / "dogs" / "self")
    assert names_in(tmp_path) == ["cats/1.png", "cats/in/2.png", "dogs/3.png"]
    for name in ("cats", "dogs"):
        for number, other in enumerate(("cats", "dogs", "cats/in")):
            (tmp_path / name / "sub").mkdir(exist_ok=True)
            (tmp_path / name / "sub" / f"{number}").symlink_to(tmp_path / other)
    found = [f"{name.partition('/')[0]}/{name.rpartition('/')[2]}" for name in names_in(tmp_path)]
    assert sorted(found) == [f"{name}/{number}.png" for name in ("cats", "dogs") for number in (1, 2, 3)]


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="absent"):
        names_in(tmp_path / "absent")
    fill(tmp_path, "bare/x.txt", "broken/1.png", "closed/1.png", "open/1.png", "open/secret/2.png")
    with pytest.raises(UserError, match=r"bare: .*\.png"):
        names_in(tmp_path / "bare")
    (tmp_path / "broken" / "gone.txt").symlink_to("nowhere")
    assert names_in(tmp_path / "broken") == ["1.png"]
    (tmp_path / "broken" / "gone.png").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"broken/gone\.png: .*link"):
        names_in(tmp_path / "broken")
    with pytest.raises(UserError, match="too long"):
        names_in(tmp_path / ("x" * 300))
    (tmp_path / "broken" / "gone.png").unlink()
    (tmp_path / "broken" / "birds").symlink_to("unmounted")
    with pytest.raises(UserError, match=r"broken/birds: .*link"):
        names_in(tmp_path / "broken")
    scandir, access = os.scandir, os.access  # modes don't bind a superuser

    def closed_scandir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(files.os, "scandir", closed_scandir)
    monkeypatch.setattr(files.os, "access", lambda path, mode: "closed" not in str(path) and access(path, mode))
    with pytest.raises(UserError, match=r"closed/1\.png: .*Permission denied"):
        names_in(tmp_path / "closed")
    with pytest.raises(UserError, match=r"open/secret: .*Permission denied"):
        names_in(tmp_path / "open")


def test_names_that_are_not_utf8_are_listed_and_printable(tmp_path):
    name = os.fsdecode(b"caf\xe9/\xff.png")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    listing = scan(tmp_path, "images", SUFFIXES)
    assert listing.names == [name]
    assert printable(name) == "caf\\xe9/\\xff.png"
    assert printable("café/ö.png") == "café/ö.png" and printable("\ud800").isascii()
    assert hash_contents(tmp_path, listing).digest


def digest_in(root):
    return hash_contents(root, scan(root, "images", SUFFIXES)).digest


def test_digests_cover_names_and_contents_but_no_path(tmp_path):
    fill(tmp_path / "a", "x/1.png", "2.png")
    before = digest_in(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    os.utime(tmp_path / "b" / "2.png", (0, 0))
    fill(tmp_path / "b", "notes.txt")
    assert digest_in(tmp_path / "b") == before
    (tmp_path / "b" / "2.png").write_text("2.pnG")  # of the same size
    changed = digest_in(tmp_path / "b")
    (tmp_path / "b" / "2.png").rename(tmp_path / "b" / "3.png")
    assert len({before, changed, digest_in(tmp_path / "b")}) == 3


@pytest.mark.parametrize("limit", ["MAX_HASHED_FILES", "MAX_HASHED_BYTES"])
def test_large_folders_are_read_in_part(tmp_path, monkeypatch, limit):
    fill(tmp_path, *(f"{number:03}.png" for number in range(100)))
    monkeypatch.setattr(files, limit, 10 if limit == "MAX_HASHED_FILES" else 70)
    read = []
    hash_file = files._hash_file
    monkeypatch.setattr(files, "_hash_file", lambda path: read.append(path.name) or hash_file(path))
    before = hash_contents(tmp_path, scan(tmp_path, "images", SUFFIXES))
    assert read == [f"{number:03}.png" for number in range(0, 100, 10)] and before.hashes == {}
    (tmp_path / "055.png").write_text("another size")
    assert digest_in(tmp_path) != before.digest


def test_copies_in_different_splits_are_named():
    hashes = {"a": b"1", "b": b"2", "c": b"1", "d": b"2"}
    note = describe_copies(hashes, ["train", "train", "test", "train"])
    assert "a (train) = c (test)" in note and "b" not in note.replace("between", "")
    assert describe_copies(hashes, ["train"] * 4) == ""
    many = {str(number): b"same" for number in range(9)}
    assert "5 more" in describe_copies(many, ["train", *["test"] * 8])
