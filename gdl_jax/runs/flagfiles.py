"""Flag files: `--flagfile=FILE` stands for the flags in FILE, one per line."""

import codecs
from collections.abc import Sequence
from pathlib import Path

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.paths import expand_user

FLAG = "flagfile"
ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def expand(argv: Sequence[str]) -> list[str]:
    """Returns a command line with each --flagfile replaced by the flags in the file.

    A file is UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it. Blank lines and lines that start with
    "#" or "//" are skipped. A file may include others. Arguments after "--" are unchanged.

    Raises:
      ConfigError: a file can't be read, has another encoding, or includes itself; names the file.
    """
    return list(argv[:1]) + _expanded(argv[1:], ())


def _expanded(arguments: Sequence[str], inside: tuple[Path, ...]) -> list[str]:
    expanded: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--":
            return [*expanded, argument, *rest]
        if name.lstrip("-") != FLAG or not name.startswith("-"):
            expanded.append(argument)
            continue
        file = value if equals else next(rest, None)
        if not file:
            raise ConfigError(FLAG, None, "needs the name of a file")
        expanded += _expanded(*_read(file, inside))
    return expanded


def _read(file: str, inside: tuple[Path, ...]) -> tuple[list[str], tuple[Path, ...]]:
    """Returns the flags in a file, and the files that are being expanded, including this one."""
    try:
        path = Path(expand_user(file, FLAG)).resolve()
        contents = path.read_bytes()
        encoding = next((ENCODINGS[mark] for mark in ENCODINGS if contents.startswith(mark)), "utf-8")
        lines = [line.strip() for line in contents.decode(encoding).splitlines()]
    except UnicodeDecodeError as error:
        raise ConfigError(FLAG, file, f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(FLAG, file, f"cannot be read: {reason}") from error
    if "--" in lines:
        raise ConfigError(FLAG, file, "must not contain --")
    if path in inside:
        raise ConfigError(FLAG, file, "includes itself")
    return [line for line in lines if line and not line.startswith(("#", "//"))], (*inside, path)
