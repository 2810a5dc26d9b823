"""Named arrays in files of the format safetensors, in which trained networks are published. Nothing is unpickled.

A file has the header's length (8 bytes, little-endian), the header (a JSON object), and the arrays' bytes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.core.extras import extra
from gdl_jax.core.paths import replacing
from gdl_jax.data.files import first_few
from gdl_jax.data.numpy_files import ARCHIVES, foreign_kind
from gdl_jax.data.text.text_files import is_folder, read_json, reason

SUFFIX = ".safetensors"
FILE = f"model{SUFFIX}"
INDEX = f"{FILE}.index.json"  # of a network in several files: {"weight_map": {name of an array: file}}
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")  # files of Python pickles
ZIP = "a zip archive, perhaps of Python pickles (torch.save), which are never loaded"
LENGTH_BYTES = 8  # of the header's length


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file, or of a folder with model.safetensors or its parts, by name, with their own dtypes.

    Numbers in bfloat16 have ml_dtypes' dtype.

    Args:
      path: a file *.safetensors, an index *.safetensors.index.json, or a folder with one of these.

    Raises:
      UserError: a file is missing, damaged, cut off or of another format; the package is not installed.
    """
    path = _in_folder(path) if is_folder(path) else path
    return _read_parts(path) if path.name.endswith(".json") else _read_file(path)


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Writes arrays to a file atomically, and creates its folder if necessary.

    Args:
      path: the file *.safetensors.
      tensors: {name: array}.
      metadata: more entries of the header. "format" is "pt" unless it is given, as Hugging Face's readers demand.

    Raises:
      UserError: the file cannot be written, or the format lacks an array's dtype; the package is not installed.
    """
    with extra("text"):
        from safetensors import SafetensorError
        from safetensors.numpy import save_file
    ordered = {name: np.asarray(array, order="C") for name, array in tensors.items()}  # others are saved wrongly
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            save_file(ordered, partial, metadata={"format": "pt", **(metadata or {})})
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason(error)}") from error
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be written: {first_line(error)}") from error


def _in_folder(folder: Path) -> Path:
    """Returns the file of a folder to read: model.safetensors, its index, or the only file *.safetensors."""
    for name in (FILE, INDEX):
        if (folder / name).exists():
            return folder / name
    try:
        names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {reason(error)}") from error
    found = [name for name in names if name.endswith(SUFFIX)]
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise UserError(f"{folder}: holds {first_few(found, ', ')}; name one of them")
    pickles = [name for name in names if name.endswith(PICKLES)]
    but = f", only {first_few(pickles, ', ')}, and Python pickles are never loaded" if pickles else ""
    raise UserError(f"{folder}: has no {FILE}{but}")


def _read_file(path: Path) -> dict[str, np.ndarray]:
    _check_beginning(path)
    with extra("text"):
        from safetensors.numpy import load_file
    try:
        return load_file(path)
    except MemoryError as error:
        raise UserError(f"{path}: too large for the memory") from error
    except AttributeError as error:  # float8 and others
        raise UserError(f"{path}: has an array of a type that NumPy lacks: {first_line(error)}") from error
    except Exception as error:
        raise UserError(f"{path}: damaged or cut off: {first_line(error)}") from error


def _check_beginning(path: Path) -> None:
    """Checks that a file begins as safetensors do.

    Raises:
      UserError: it does not; says which other format it has.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(64)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error
    if not first:
        raise UserError(f"{path}: an empty file; download it again")
    if first[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{":
        end = LENGTH_BYTES + int.from_bytes(first[:LENGTH_BYTES], "little")
        if end > size:
            raise UserError(f"{path}: cut off: its header alone has {end:,} bytes, and the file {size:,}")
        return
    found = ZIP if first.startswith(ARCHIVES) else foreign_kind(first)
    if path.suffix in PICKLES:
        found = "a Python pickle by its name, which is never loaded"
    raise UserError(f"{path}: not a file in safetensors' format{f' but {found}' if found else ''}")


def _read_parts(index: Path) -> dict[str, np.ndarray]:
    """Returns the arrays that an index lists, from the files beside it."""
    contents = read_json(index)
    places = contents.get("weight_map") if isinstance(contents, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError(f'{index}: not an index of safetensors: has no "weight_map" of arrays and files')
    if strange := [file for file in places.values() if not isinstance(file, str) or Path(file).name != file]:
        raise UserError(f"{index}: {str(strange[0])[:40]!a} is not the name of a file beside it")
    tensors: dict[str, np.ndarray] = {}
    for file in sorted(set(places.values())):
        part = _read_file(index.with_name(file))
        names = [name for name, place in places.items() if place == file]
        if lacking := [name for name in names if name not in part]:
            raise UserError(f"{index.with_name(file)}: lacks arrays of {index.name}: {first_few(lacking, ', ')}")
        tensors |= {name: part[name] for name in names}
    return tensors
