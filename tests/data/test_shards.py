"""Shards on disk: written atomically, and damage is named."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.shards import count_shards, digest, has_shard, open_shard, read_notes, read_shard, write_shard

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "shards"
    for number in range(3):
        write_shard(root, number, {"a": np.full((2, 3), number), "b": np.arange(2.0)}, {"policy": "none"})
    return root


def test_shards_are_read_as_written(root):
    assert count_shards(root) == 3
    arrays = read_shard(root, 2)
    np.testing.assert_array_equal(arrays["a"], np.full((2, 3), 2))
    np.testing.assert_array_equal(arrays["b"], [0.0, 1.0])
    assert isinstance(arrays["a"], np.memmap)
    assert read_notes(root, 2) == {"policy": "none"}


def test_a_kill_leaves_no_half_shard(root, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_shard(root, 3, {"a": np.zeros(2)}, {})
    monkeypatch.undo()
    assert not has_shard(root, 3)
    assert count_shards(root) == 3
    write_shard(root, 3, {"a": np.ones(2)}, {})
    np.testing.assert_array_equal(read_shard(root, 3)["a"], [1.0, 1.0])


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_file_is_named(root, damage):
    path = root / "00001.a.npy"
    contents = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(contents[:-8])
    elif damage == "flipped":
        contents[-3] ^= 1
        path.write_bytes(contents)
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"/00001\.a\.npy: .*/00001\.json"):
        read_shard(root, 1)
    read_shard(root, 0)


@pytest.mark.parametrize("damage", ["truncated", "longer", "header", "empty", "zip", "missing"])
def test_a_file_of_another_size_is_named_when_opened(root, damage):
    path = root / "00001.a.npy"
    contents = path.read_bytes()
    made = {"truncated": contents[:-8], "longer": contents + b"x", "header": b"x" + contents[1:], "empty": b""}
    zipped = io.BytesIO()
    np.savez(zipped, a=np.zeros(2))
    made["zip"] = zipped.getvalue()
    if damage in made:
        path.write_bytes(made[damage])
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"/00001\.a\.npy: .*/00001\.json"):
        open_shard(root, 1)


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="lists open files by /proc")
def test_arrays_on_disk_are_not_kept_open(root):
    arrays = [open_shard(root, number)["a"] for number in range(3)]
    assert [array.shape for array in arrays] == [(2, 3)] * 3
    links = [str(link.readlink()) for link in DESCRIPTORS.iterdir() if link.exists()]
    assert not [link for link in links if link.startswith(str(root))]
    np.testing.assert_array_equal(arrays[2].open(), np.full((2, 3), 2))
    arrays[2].path.unlink()
    with pytest.raises(UserError, match=r"/00002\.a\.npy: "):
        arrays[2].open()


def test_digests_differ_with_the_contents(root, tmp_path):
    before = digest(root), digest(root, 1)
    assert digest(root) == before[0] != digest(root, 0) != digest(root, 1)
    write_shard(root, 1, {"a": np.full((2, 3), 1), "b": np.arange(2.0)}, {"policy": "other"})
    assert (digest(root), digest(root, 1)) == before  # notes are not part of the contents
    write_shard(root, 1, {"a": np.full((2, 3), 5), "b": np.arange(2.0)}, {"policy": "none"})
    assert digest(root) != before[0] and digest(root, 1) != before[1]


def test_a_full_disk_is_an_error_that_names_the_folder(root, monkeypatch):
    def full(*arguments, **options):
        raise OSError("16 requested and 0 written")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=f"{root}: .*16 requested"):
        write_shard(root, 3, {"a": np.zeros(2)}, {})


@pytest.mark.parametrize("contents", ["", "[]", "{}", json.dumps({"checksums": [], "notes": {}})])
def test_a_damaged_description_is_named(root, contents):
    (root / "00001.json").write_text(contents)
    with pytest.raises(UserError, match=r"/00001\.json: "):
        read_shard(root, 1)


def test_gaps_and_empty_folders_are_refused(root, tmp_path):
    with pytest.raises(UserError, match="/nowhere: "):
        count_shards(tmp_path / "nowhere")
    with pytest.raises(UserError, match="/file: "):
        (tmp_path / "file").touch()
        count_shards(tmp_path / "file")
    with pytest.raises(UserError, match="too long"):
        count_shards(tmp_path / ("x" * 300))
    (root / "00001.json").unlink()
    with pytest.raises(UserError, match=r"/00001\.json: "):
        count_shards(root)


def test_an_incomplete_folder_is_refused(tmp_path):
    write_shard(tmp_path, 0, {"a": np.zeros(2)}, {}, of=2)
    with pytest.raises(UserError, match=f"{tmp_path}: .*1 of 2"):
        count_shards(tmp_path)
    write_shard(tmp_path, 1, {"a": np.zeros(2)}, {}, of=2)
    assert count_shards(tmp_path) == 2
