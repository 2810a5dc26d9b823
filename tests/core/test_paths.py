"""Tests of paths given by users."""

import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user


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
