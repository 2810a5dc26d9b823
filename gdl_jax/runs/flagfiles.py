"""Flag files: `--flagfile=FILE` stands for the flags in FILE, one per line."""

from collections.abc import Sequence
from pathlib import Path

from gdl_jax.core.encodings import encoding_of
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.paths import expand_user

FLAG = "flagfile"


def expand(argv: Sequence[str]) -> list[str]:
    """Returns a command line with each --flagfile replaced by the flags in the file.

    A file is UTF-8, or UTF-16 (as PowerShell writes it) or UTF-32 with a byte-order mark. Blank lines and lines that
    start with "#" or "//" are skipped. A file may include others. Arguments after "--" are unchanged.

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
        encoding, mark = encoding_of(contents)
        lines = [line.strip() for line in contents[len(mark) :].decode(encoding).splitlines()]
    except UnicodeDecodeError as error:
        place = len(mark) + error.start
        raise ConfigError(FLAG, file, f"is not {encoding.upper()} text (byte {place}); save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(FLAG, file, f"cannot be read: {reason}") from error
    if "--" in lines:
        raise ConfigError(FLAG, file, "must not contain --")
    if path in inside:
        raise ConfigError(FLAG, file, "includes itself")
    return [line for line in lines if line and not line.startswith(("#", "//"))], (*inside, path)
