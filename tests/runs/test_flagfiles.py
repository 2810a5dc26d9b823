"""Tests of flag files: comments, encodings, files within files, and bad ones."""

import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.runs.flagfiles import expand


def test_replaces_a_file_by_its_flags(tmp_path):
    (tmp_path / "inner.txt").write_text("--z_dim=3\n")
    (tmp_path / "a.txt").write_text(f"# a comment\n\n// another\n--steps=1\n--flagfile={tmp_path}/inner.txt\n--dream\n")
    argv = ["vae", "--seed=2", f"--flagfile={tmp_path}/a.txt", "--seed=3", "--", "--flagfile=kept"]
    expected = ["vae", "--seed=2", "--steps=1", "--z_dim=3", "--dream", "--seed=3", "--", "--flagfile=kept"]
    assert expand(argv) == expected
    assert expand(["vae", "-flagfile", f"{tmp_path}/inner.txt"]) == ["vae", "--z_dim=3"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_reads_encodings_with_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("# é\n--workdir=é\n", encoding=encoding)
    assert expand(["vae", f"--flagfile={tmp_path}/a.txt"]) == ["vae", "--workdir=é"]


@pytest.mark.parametrize("contents", [b"# caf\xe9\n--steps=1\n", b"\xff\xfe-", None])
def test_names_a_file_that_cannot_be_read(tmp_path, contents):
    if contents is not None:
        (tmp_path / "bad.txt").write_bytes(contents)
    with pytest.raises(ConfigError, match=r"flagfile=.*bad\.txt"):
        expand(["vae", f"--flagfile={tmp_path}/bad.txt"])


def test_refuses_a_file_that_includes_itself(tmp_path):
    (tmp_path / "a.txt").write_text(f"--flagfile={tmp_path}/b.txt\n")
    (tmp_path / "b.txt").write_text(f"--flagfile={tmp_path}/a.txt\n")
    with pytest.raises(ConfigError, match="flagfile"):
        expand(["vae", f"--flagfile={tmp_path}/a.txt"])


@pytest.mark.parametrize("last", ["--flagfile", "--flagfile="])
def test_refuses_a_flag_without_a_file(last):
    with pytest.raises(ConfigError, match="flagfile"):
        expand(["vae", last])
