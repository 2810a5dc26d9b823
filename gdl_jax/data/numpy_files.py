"""Arrays in NumPy's files, .npz and .npy, recognised by their contents. Nothing is unpickled."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError

ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")  # how an .npz begins, the second one an empty one
ARRAY = b"\x93NUMPY"  # how an .npy begins
OTHERS = (  # how files of other formats begin
    (b"<", "a web page or XML text, perhaps an error message in place of the download"),
    (b"\x80", "a Python pickle, which is never loaded"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"version https://git-lfs", "a pointer of Git LFS in place of the file; fetch it with git lfs pull"),
)


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns those arrays of an .npz that are among `names`.

    Raises:
      UserError: the file is missing, empty, damaged or of another format, has none of them, or one of them holds Python
        objects; names the file.
    """
    if _beginning(path) not in ARCHIVES:
        raise UserError(f"{path}: a single array (.npy); save it with numpy.savez under a name: {' or '.join(names)}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            inside = stored.files
            arrays = {name: _member(stored, name, path) for name in names if name in inside}
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each have their own exceptions for damaged bytes
        raise _unreadable(path, error) from error
    if not arrays:
        raise UserError(f"{path}: has no array {' or '.join(names)}; it has {', '.join(inside) or 'none'}")
    return arrays


def _member(stored: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return stored[name]
    except ValueError as error:
        if "pickle" in str(error):
            raise _objects(f"{path}: the array {name}") from error
        raise


def read_array(path: Path) -> np.ndarray:
    """Returns the array of an .npy.

    Raises:
      UserError: the file is missing, empty, damaged or of another format, or holds Python objects; names the file.
    """
    if _beginning(path) != ARRAY:
        raise UserError(f"{path}: an .npz, not a single array")
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header can raise almost anything
        if isinstance(error, ValueError) and "pickle" in str(error):
            raise _objects(f"{path}") from error
        raise _unreadable(path, error) from error


def is_archive(path: Path) -> bool:
    """True if the file is an .npz, whatever it is called.

    Raises:
      UserError: it is missing, empty or neither an .npz nor an .npy.
    """
    return _beginning(path) in ARCHIVES


def _beginning(path: Path) -> bytes:
    """Returns the bytes by which a NumPy file is recognised: one of ARCHIVES, or ARRAY.

    Raises:
      UserError: the file has others, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if not first:
        raise UserError(f"{path}: an empty file; download or save it again")
    for known in (*ARCHIVES, ARRAY):
        if first.startswith(known):
            return known
    found = foreign_kind(first)
    raise UserError(f"{path}: not a NumPy file (.npz or .npy){f' but {found}' if found else ''}")


def foreign_kind(first: bytes) -> str:
    """Returns what a file is, of those often taken for a file of arrays, by its first bytes; '' if it is none."""
    visible = first.lstrip(b"\xef\xbb\xbf \r\n\t")
    return next((what for start, what in OTHERS if visible.startswith(start)), "")


def _objects(what: str) -> UserError:
    return UserError(f"{what} holds Python objects, which are never unpickled; save numbers or strings (astype(str))")


def _unreadable(path: Path, error: Exception) -> UserError:
    if isinstance(error, MemoryError):
        return UserError(f"{path}: too large for the memory, or damaged")
    reason = getattr(error, "strerror", None) or f"damaged or cut off ({type(error).__name__})"
    return UserError(f"{path}: cannot be read: {reason}")
