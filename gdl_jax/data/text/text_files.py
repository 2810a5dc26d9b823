"""Files of text: where they lie, and what may be wrong with them."""

from collections.abc import Sequence
from pathlib import Path

from gdl_jax.core.errors import ConfigError, UserError


def find(dataset: str, data_dir: str | None, layouts: Sequence[str]) -> Path:
    """Returns the first of `layouts`, paths inside data_dir, that exists.

    Raises:
      ConfigError: none does; says what is looked for.
    """
    wanted = " or ".join(layouts)
    if data_dir is None:
        raise ConfigError("dataset", dataset, f"needs data_dir, a directory with {wanted}")
    directory = Path(data_dir).expanduser()
    if not directory.is_dir():
        raise ConfigError("data_dir", data_dir, "no such directory")
    for layout in layouts:
        if (directory / layout).exists():
            return directory / layout
    raise ConfigError("data_dir", data_dir, f"holds no {wanted} for dataset={dataset}")


def read(path: Path) -> str:
    """The text of a UTF-8 file, as `decode` has it.

    Raises:
      UserError: the file can't be read, is not UTF-8, is binary or is empty.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return decode(contents, str(path))


def decode(contents: bytes, name: str) -> str:
    """A text in UTF-8, with or without a byte-order mark; its lines end in a newline each.

    Raises:
      UserError: it is not UTF-8, is binary or is empty; says so of `name`.
    """
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not a text in UTF-8: byte {error.start} cannot be decoded") from error
    if "\0" in text:
        raise UserError(f"{name}: a binary file, not a text")
    if not text.strip():
        raise UserError(f"{name}: an empty text")
    return text.replace("\r\n", "\n").replace("\r", "\n")
