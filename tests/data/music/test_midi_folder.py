"""Tests of folders of MIDI files: which are read, skipped, repeated and cached."""

import os

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.music import midi
from gdl_jax.data.music.midi_folder import read_folder
from tests.data.music.midi_bytes import BROKEN, GOOD, midi_bytes, off, on, riff


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def piece(pitch):
    return midi_bytes([(0, on(pitch)), (480, off(pitch))])


def write_folder(root, **files):
    for name, content in files.items():
        path = root / f"{name.replace('__', '/')}.mid"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)


def test_broken_files_are_named_and_skipped(tmp_path, capsys):
    write_folder(tmp_path, a=GOOD, b=BROKEN["text"], sub__c=piece(62), z=BROKEN["truncated"])
    (tmp_path / ".hidden.mid").write_bytes(GOOD)
    for _ in range(2):  # from the files, then from the cache
        folder = read_folder(tmp_path)
        assert folder.names == ["a.mid", "sub/c.mid"] and len(folder.pieces) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and said.startswith(f"{tmp_path}: 2 of 4 ")
        assert "b.mid: " in said and "z.mid: " in said and "a.mid" not in said and "c.mid" not in said


def test_notes_name_some_of_many_broken_files(tmp_path):
    write_folder(tmp_path, good=GOOD, **{f"b{i}": b"" for i in range(9)})
    note = read_folder(tmp_path).note
    assert note.startswith("9 of 10 ") and "6" in note.rpartition("b2.mid")[2]  # the number of files not named
    assert all(f"b{i}.mid: " in note for i in range(3)) and "b3.mid" not in note


def test_files_of_other_kinds_are_counted(tmp_path, capsys):
    write_folder(tmp_path, a=GOOD)
    assert read_folder(tmp_path).note == capsys.readouterr().err == ""
    for name in ("readme.txt", "score.pdf", "sub.txt"):
        (tmp_path / name).write_text("no music")
    note = read_folder(tmp_path).note
    assert "3" in note and ".txt, .pdf" in note and note in capsys.readouterr().err


def test_suffixes_of_any_case(tmp_path):
    for number, name in enumerate(("a.MID", "b.Midi", "c.kar")):
        (tmp_path / name).write_bytes(piece(60 + number))
    (tmp_path / "d.RMI").write_bytes(riff(piece(63)))
    folder = read_folder(tmp_path)
    assert folder.names == ["a.MID", "b.Midi", "c.kar", "d.RMI"]
    assert [notes[0, 2] for notes in folder.pieces] == [60, 61, 62, 63]


def test_links_are_followed_but_not_in_circles(tmp_path):
    root = tmp_path / "set"
    write_folder(root, a=GOOD, sub__b=piece(62))
    write_folder(tmp_path / "elsewhere", c=piece(64), d=piece(65))
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "sub" / "loop").symlink_to(root)
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere")
    assert read_folder(root).names == ["a.mid", "linked/c.mid", "linked/d.mid", "sub/b.mid"]
    (root / "gone.mid").symlink_to(tmp_path / "absent.mid")
    with pytest.raises(UserError, match=r"gone\.mid: "):
        read_folder(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_that_cannot_be_read_are_named(tmp_path):
    write_folder(tmp_path, a=GOOD, sub__b=piece(62))
    (tmp_path / "sub").chmod(0)
    try:
        with pytest.raises(UserError, match="/sub: "):
            read_folder(tmp_path)
    finally:
        (tmp_path / "sub").chmod(0o755)


def test_repeated_pieces_are_named(tmp_path):
    write_folder(tmp_path, a=GOOD, b=piece(62), c=riff(GOOD), sub__b=piece(62), d=piece(64))
    folder = read_folder(tmp_path)
    assert folder.repeats == ["c.mid = a.mid", "sub/b.mid = b.mid"] and "c.mid = a.mid" in folder.note
    assert len(folder.pieces) == 5


def test_names_that_are_not_utf8(tmp_path, capsys):
    for name, content in ((b"caf\xe9.mid", GOOD), (b"na\xefve.mid", GOOD), (b"\xff.mid", b"")):
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    folder = read_folder(tmp_path)
    assert len(folder.pieces) == 2
    for text in (folder.note, capsys.readouterr().err):
        assert r"\xff.mid: " in text and r"na\xefve.mid = caf\xe9.mid" in text
        text.encode()


def test_files_are_read_once_until_they_change(tmp_path, monkeypatch):
    write_folder(tmp_path, a=GOOD, b=GOOD)
    read, reads = midi.read_notes, []
    monkeypatch.setattr(midi, "read_notes", lambda path, merge: reads.append(path.name) or read(path, merge))
    first = read_folder(tmp_path)
    again = read_folder(tmp_path)
    assert reads == first.names == again.names == ["a.mid", "b.mid"]
    for one, other in zip(first.pieces, again.pieces, strict=True):
        np.testing.assert_array_equal(one, other)
    write_folder(tmp_path, b=piece(72))
    assert read_folder(tmp_path).pieces[1].tolist() == [[0, 24, 72, 0]]


def test_the_cache_depends_on_how_unisons_are_read(tmp_path):
    write_folder(tmp_path, a=midi_bytes([(0, on(57)), (0, on(57)), (480, off(57)), (240, off(57))]))
    assert [len(read_folder(tmp_path, merge_unisons=merge).pieces[0]) for merge in (False, True)] == [2, 1]


def test_folders_without_music_are_refused(tmp_path):
    with pytest.raises(UserError, match="/absent: "):
        read_folder(tmp_path / "absent")
    with pytest.raises(UserError, match=rf"{tmp_path}: .*\.mid, \.midi"):
        read_folder(tmp_path)
    write_folder(tmp_path, a=b"", b=b"")
    with pytest.raises(UserError, match=rf"{tmp_path}: .*2 .*a\.mid: "):
        read_folder(tmp_path)
