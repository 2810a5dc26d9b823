"""NumPy files: recognised by their contents; whatever is wrong with one is a line that names it."""

import io
import pickle
import struct

import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.numpy_files import is_archive, read_array, read_arrays

X = np.arange(60, dtype=np.uint8).reshape(5, 12)


def saved(save, *arrays, **named) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


NPY, NPZ = saved(np.save, X), saved(np.savez_compressed, a=X, b=X[0])
OBJECTS = np.array([{}], object)
WEB_PAGE = b"<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code></Error>"
HUGE = NPY.replace(b"(5, 12)", b"(5000000000000, 12)")[: len(NPY)]
BROKEN = {
    "empty": b"",
    "text": b"hello",
    "page": WEB_PAGE,
    "html": b"\xef\xbb\xbf\n <!DOCTYPE html><html>",
    "pickle": pickle.dumps(X),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "gzip": b"\x1f\x8b" + bytes(30),
    "cut_npz": NPZ[: len(NPZ) // 2],
    "flipped_npz": NPZ[:80] + bytes(255 - byte for byte in NPZ[80:110]) + NPZ[110:],
    "header_npz": NPZ[:10],
    "cut_npy": NPY[:-9],
    "header_npy": NPY[:20],
    "huge_npy": HUGE,
    "objects_npz": saved(np.savez, a=OBJECTS),
    "objects_npy": saved(np.save, OBJECTS),
    "other_npz": saved(np.savez, c=X),
    "no_arrays": b"PK\x05\x06" + bytes(18),
    "other_zip": b"PK\x03\x04" + struct.pack("<26x"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_whatever_is_wrong_is_one_line_with_the_name(tmp_path, name, suffix):
    path = tmp_path / f"{name}.{suffix}"
    path.write_bytes(BROKEN[name])
    with pytest.raises(UserError, match=str(path)) as raised:
        read_arrays(path, ("a", "b")) if is_archive(path) else read_array(path)
    assert "\n" not in str(raised.value) and "allow_pickle" not in str(raised.value)


def test_contents_matter_rather_than_the_suffix(tmp_path):
    (tmp_path / "archive.npy").write_bytes(NPZ)
    (tmp_path / "array.npz").write_bytes(NPY)
    assert is_archive(tmp_path / "archive.npy") and not is_archive(tmp_path / "array.npz")
    np.testing.assert_array_equal(read_arrays(tmp_path / "archive.npy", ("a",))["a"], X)
    np.testing.assert_array_equal(read_array(tmp_path / "array.npz"), X)
    with pytest.raises(UserError, match=r"archive\.npy"):
        read_array(tmp_path / "archive.npy")
    with pytest.raises(UserError, match=r"array\.npz"):
        read_arrays(tmp_path / "array.npz", ("a",))


def test_only_the_named_arrays_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", a=X, notes=OBJECTS)
    assert set(read_arrays(tmp_path / "a.npz", ("a", "b"))) == {"a"}
    with pytest.raises(UserError, match=r"a\.npz: .*notes"):
        read_arrays(tmp_path / "a.npz", ("a", "notes"))


@pytest.mark.parametrize("name", ["missing.npz", "folder.npz"])
def test_missing_files_and_folders_are_named(tmp_path, name):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UserError, match=name):
        read_arrays(tmp_path / name, ("a",))
