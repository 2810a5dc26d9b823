"""Tests of paths given by users, and of files that are replaced."""

import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user, replacing


def test_expands_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert expand_user("~") == "/home/somebody"
    assert expand_user("~/runs/x") == "/home/somebody/runs/x"


@pytest.mark.parametrize("path", ["", "runs/~/x", "/a b/'c'", "a~", "./~"])
def test_leaves_other_paths_unchanged(path):
    assert expand_user(path) == path


def test_names_an_unknown_user():
    with pytest.raises(UserError, match=r"^~no_such_user_here/x: "):
        expand_user("~no_such_user_here/x")
    with pytest.raises(ConfigError, match=r"^workdir=~no_such_user_here/x: "):
        expand_user("~no_such_user_here/x", "workdir")
    with pytest.raises(ConfigError, match=r"^dataset=npz:~no_such_user_here/x: "):
        expand_user("~no_such_user_here/x", "dataset", "npz:~no_such_user_here/x")


@pytest.mark.parametrize("alone", [False, True])
def test_replaces_a_file_when_the_block_ends(tmp_path, alone):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path, alone=alone) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as partial:
        partial.write_text("half of the ne")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_share_a_partial_file(tmp_path):
    with replacing(tmp_path / "a.txt") as first, replacing(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"


def test_one_writer_overwrites_what_a_killed_one_left(tmp_path):
    with replacing(tmp_path / "a.txt", alone=True) as partial:
        partial.write_text("x")
        left = partial
    left.write_text("half")
    with replacing(tmp_path / "a.txt", alone=True) as partial:
        partial.write_text("y")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["y"]
