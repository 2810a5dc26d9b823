"""Tests of JSON files: strict contents, atomic writing, and errors that name the file."""

import json
import math
import resource

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.core.json_files import from_json, read_json, to_json, write_json


def refuse(constant):
    raise ValueError(constant)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_writes_non_finite_numbers_as_null(value):
    text = to_json({"loss": value, "each": [1.5, (value,)], "mean": {"std": value}})
    expected = {"loss": None, "each": [1.5, [None]], "mean": {"std": None}}
    assert json.loads(text, parse_constant=refuse) == expected


def test_from_json_reads_null_as_nan():
    read = from_json('{"loss": null, "each": [1.5, null], "name": "x"}')
    assert math.isnan(read["loss"]) and math.isnan(read["each"][1]) and read["name"] == "x"


def test_survives_a_round_trip(tmp_path):
    value = {"name": "é \udcff ☃", "numbers": [1, 0.25], "none": None}
    write_json(tmp_path / "new" / "a.json", value)
    assert read_json(tmp_path / "new" / "a.json") == value
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


@pytest.mark.parametrize("contents", [b"", b"{", b"[1]", b"\xff\xfe{}", b"NaN"])
def test_names_a_damaged_file(tmp_path, contents):
    path = tmp_path / "a.json"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"a\.json"):
        read_json(path)


def test_reads_a_missing_file_as_empty(tmp_path):
    assert read_json(tmp_path / "a.json") == {}


def test_names_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"a\.json"):
        write_json(tmp_path / "file" / "a.json", {})


def test_numpy_scalars_are_numbers():
    value = {"count": np.int64(3), "known": np.bool_(True), "share": np.float32(0.5)}
    assert json.loads(to_json(value)) == {"count": 3, "known": True, "share": 0.5}


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(UserError, match=r"a\.json"):
            write_json(path, {"new": list(range(1000))})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_json(path) == {"old": True} and list(tmp_path.iterdir()) == [path]
