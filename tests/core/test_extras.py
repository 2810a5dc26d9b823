"""Tests of optional packages: present, missing and broken ones."""

import sys

import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.core.extras import extra, locate


def test_names_a_missing_package_and_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(UserError) as caught, extra("music"):
        import mido  # noqa: F401
    assert str(caught.value) == "mido is not installed: pip install 'gdl_jax[music]'"


def test_names_the_package_of_a_missing_submodule(monkeypatch):
    monkeypatch.setitem(sys.modules, "not_installed", None)
    with pytest.raises(UserError, match=r"^not_installed is not installed: "), extra("music"):
        from not_installed.files import read  # noqa: F401


def test_imports_an_installed_package():
    with extra("music"):
        import json
    assert json.loads("1") == 1


def test_does_not_catch_a_missing_dependency_of_a_package(monkeypatch, tmp_path):
    (tmp_path / "needs_another.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"), extra("music"):
        import needs_another  # noqa: F401


def test_does_not_catch_other_errors():
    with pytest.raises(ValueError, match="mine"), extra("music"):
        raise ValueError("mine")


def test_locates_a_package_without_importing_it(monkeypatch, tmp_path):
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("large", "text") == tmp_path / "large"
    with pytest.raises(UserError) as caught:
        locate("not_there_at_all", "text")
    assert str(caught.value) == "not_there_at_all is not installed: pip install 'gdl_jax[text]'"
