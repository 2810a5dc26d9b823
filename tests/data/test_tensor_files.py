"""Tests of safetensors files: whole, in parts, damaged and foreign."""

import json
import pickle
import struct

import ml_dtypes
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.tensor_files import FILE, INDEX, read_tensors, write_tensors

RNG = np.random.default_rng(0)
TENSORS = {
    "a.weight": RNG.normal(size=(3, 4)).astype(np.float32),
    "a.bias": RNG.normal(size=4).astype(np.float16),
    "half": RNG.normal(size=(2, 2)).astype(ml_dtypes.bfloat16),
    "ids": np.arange(6).reshape(1, 6),
    "scalar": np.array(2.5),
    "empty": np.zeros((0, 3), np.float32),
}


def written(tensors):
    """Returns a file's bytes, from the format's description alone."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    names = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "float64": "F64"}
    for name, array in tensors.items():
        place = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": names[array.dtype.name], "shape": list(array.shape), "data_offsets": place}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parsed(contents):
    """Returns (metadata, arrays) of a file's bytes, from the format's description alone."""
    (length,) = struct.unpack("<Q", contents[:8])
    header = json.loads(contents[8 : 8 + length])
    kinds = {"F32": "<f4", "F16": "<f2", "BF16": ml_dtypes.bfloat16, "I64": "<i8", "F64": "<f8"}
    metadata = header.pop("__metadata__", {})
    body = contents[8 + length :]
    return metadata, {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
    }


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def test_files_are_read_as_the_format_says(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(written(TENSORS))
    assert_equal(read_tensors(tmp_path / "x.safetensors"), TENSORS)
    assert_equal(read_tensors(tmp_path), TENSORS)  # the only one in the folder


def test_files_are_written_as_the_format_says(tmp_path):
    write_tensors(tmp_path / "new" / FILE, TENSORS, {"made_by": "test"})
    metadata, found = parsed((tmp_path / "new" / FILE).read_bytes())
    assert metadata == {"format": "pt", "made_by": "test"}
    assert_equal(found, TENSORS)
    assert_equal(read_tensors(tmp_path / "new"), TENSORS)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]
    write_tensors(tmp_path / "new" / FILE, {"a": np.zeros(1)})
    assert read_tensors(tmp_path / "new").keys() == {"a"}


def test_arrays_in_any_order_of_memory_are_written_rightly(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    views = {"t": array.T, "s": array[:, ::2], "b": array.astype(">f4"), "list": [1.0, 2.0]}
    write_tensors(tmp_path / FILE, views)
    found = read_tensors(tmp_path / FILE)
    assert all((found[name] == np.asarray(view)).all() for name, view in views.items())


def in_parts(folder, places=None):
    parts = {"model-00001-of-00002.safetensors": ["a.weight", "ids"], "model-00002-of-00002.safetensors": ["scalar"]}
    for file, names in parts.items():
        (folder / file).write_bytes(written({name: TENSORS[name] for name in names}))
    places = {name: file for file, names in parts.items() for name in names} if places is None else places
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return {name: TENSORS[name] for name in ("a.weight", "ids", "scalar")}


def test_networks_in_several_files(tmp_path):
    expected = in_parts(tmp_path)
    assert_equal(read_tensors(tmp_path), expected)
    assert_equal(read_tensors(tmp_path / INDEX), expected)
    (tmp_path / FILE).write_bytes(written({"a.bias": TENSORS["a.bias"]}))
    assert read_tensors(tmp_path).keys() == {"a.bias"}  # a whole network comes first


@pytest.mark.parametrize(
    ("places", "named"),
    [
        ({"a.weight": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}, "00001.*lacks.* b"),
        ({"a.weight": "absent.safetensors"}, r"absent\.safetensors: cannot be read"),
        ({"a.weight": "../absent.safetensors"}, "not the name of a file"),
        ({"a.weight": 3}, "not the name of a file"),
        ({"a.weight": ".."}, "not the name of a file|cannot be read"),
        ({}, "weight_map"),
        ([], "weight_map"),
    ],
)
def test_a_wrong_index_is_one_line(tmp_path, places, named):
    in_parts(tmp_path, places)
    with pytest.raises(UserError, match=named) as raised:
        read_tensors(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path}/") and "\n" not in str(raised.value)


WHOLE = written(TENSORS)
HEADER = 8 + struct.unpack("<Q", WHOLE[:8])[0]


def of_header(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ARRAY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
BROKEN = {  # contents -> what the message names
    "empty": (b"", "empty"),
    "a_few_bytes": (WHOLE[:5], "safetensors"),
    "length_only": (WHOLE[:8], "safetensors"),
    "cut_header": (WHOLE[:60], "cut off"),
    "no_data": (WHOLE[:HEADER], "cut off"),
    "cut_data": (WHOLE[:-3], "cut off"),
    "more_data": (WHOLE + b"x", "damaged"),
    "pickle": (pickle.dumps({"a": 1}), "pickle"),
    "torch_zip": (b"PK\x03\x04" + bytes(100), "pickle"),
    "html": (b"\n<!DOCTYPE html><html></html>", "web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(50), "safetensors"),
    "zeros": (bytes(100), "safetensors"),
    "no_json": (struct.pack("<Q", 9) + b"{" * 9, "damaged"),
    "unknown_dtype": (of_header({"a": ARRAY | {"dtype": "F31"}}, bytes(4)), "damaged"),
    "float8": (of_header({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)), "float8"),
    "overlap": (of_header({"a": ARRAY, "b": ARRAY}, bytes(4)), "damaged"),
    "wrong_size": (of_header({"a": ARRAY | {"shape": [2]}}, bytes(4)), "damaged"),
    "beyond": (of_header({"a": ARRAY | {"data_offsets": [0, 2**62]}}, bytes(4)), "damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_is_wrong_is_one_line_with_the_name(tmp_path, name):
    contents, named = BROKEN[name]
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=named) as raised:
        read_tensors(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


class Trap:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_refused_by_name_and_by_contents(tmp_path):
    trap = pickle.dumps(Trap(str(tmp_path / "sprung")))
    for name in ("pytorch_model.bin", "model.safetensors", "x.pt", "x.npz"):
        (tmp_path / name).write_bytes(trap)
        with pytest.raises(UserError, match="pickle"):
            read_tensors(tmp_path / name)
        if name == "pytorch_model.bin":
            with pytest.raises(
                UserError, match=r"has no model\.safetensors, only pytorch_model\.bin, and Python pickles"
            ):
                read_tensors(tmp_path)
    (tmp_path / "text.bin").write_text("hello world")
    with pytest.raises(UserError, match="pickle by its name"):
        read_tensors(tmp_path / "text.bin")
    assert not (tmp_path / "sprung").exists()


def test_missing_files_and_ambiguous_folders_are_one_line(tmp_path):
    for path in (tmp_path / "absent.safetensors", tmp_path / "absent", tmp_path / ("x" * 5000)):
        with pytest.raises(UserError, match="cannot be read"):
            read_tensors(path)
    with pytest.raises(UserError, match=r"has no model\.safetensors$"):
        read_tensors(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(WHOLE)
    with pytest.raises(UserError, match=r"a\.safetensors, b\.safetensors; name one"):
        read_tensors(tmp_path)
    (tmp_path / "x.index.json").write_text("[1")
    with pytest.raises(UserError, match=r"index\.json: line 1: "):
        read_tensors(tmp_path / "x.index.json")


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    write_tensors(tmp_path / FILE, {"a": np.zeros(2)})
    for tensors in ({"a": np.array(["text"])}, {"a": np.zeros(2, np.complex128)}, {"a": np.array([{}], object)}):
        with pytest.raises(UserError, match=f"{FILE}: cannot be written"):
            write_tensors(tmp_path / FILE, tensors)
    assert read_tensors(tmp_path)["a"].shape == (2,) and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UserError, match="cannot be written"):
        write_tensors(tmp_path / FILE / "below_a_file", {"a": np.zeros(2)})
