"""Reader of published word vectors: GloVe's .txt, word2vec's text format and fastText's .vec.

A line holds a word and its D numbers, separated by spaces; word2vec and fastText add a first line: the count of words
and D. Words may contain spaces (some of glove.840B do), so lines are parsed from the right. Files may be compressed by
gzip or be in a zip archive.
"""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gdl_jax.core.errors import UserError, first_line

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
HEADER = re.compile(rb"(\d+) (\d+)")  # the count of words and D
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_vectors(path: Path, wanted: Set[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the N wanted words that have a vector, in the file's order, and their vectors (N, D) float32.

    Of a word's several vectors the first one counts.

    Args:
      path: the file; ARCHIVE/FILE for a file in a zip archive, which may be left out if it is the only one.
      wanted: words.

    Raises:
      OSError: the file cannot be read.
      UserError: it is damaged or incomplete, or holds something else; names the line.
    """
    try:
        with _opened(path) as lines:
            return _parsed(path, lines, {word.encode(errors="surrogatepass"): word for word in wanted})
    except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged or incomplete ({first_line(error)})") from error
    except (NotImplementedError, RuntimeError) as error:  # compressed by another method, or encrypted
        raise UserError(f"{path}: cannot be unpacked ({first_line(error)})") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Yields the unpacked file."""
    file, member = path, None
    if not path.exists():
        archives = (parent for parent in path.parents if parent.is_file())
        file = next(archives, path)
        member = path.relative_to(file).as_posix() if file != path else None
    with file.open("rb") as stored:
        start = stored.peek(len(ZIP))
        if start.startswith(ZIP):
            with zipfile.ZipFile(stored) as archive, archive.open(_member(path, archive, member)) as unpacked:
                yield io.BufferedReader(unpacked)
        elif member is not None:
            raise UserError(f"{path}: {file} is not a zip archive")
        elif start.startswith(GZIP):
            with gzip.GzipFile(fileobj=stored) as unpacked:
                yield unpacked
        else:
            yield stored


def _member(path: Path, archive: zipfile.ZipFile, name: str | None) -> str:
    """Returns the name of the file to read in an archive."""
    names = [each for each in archive.namelist() if not each.endswith("/") and not each.startswith("__MACOSX/")]
    if name in names:
        return name
    if name is None and len(names) == 1:
        return names[0]
    listed = ", ".join(names[:10])
    raise UserError(f"{path}: name one file of the archive, as in ARCHIVE/FILE; it holds {listed or 'none'}")


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _size(line: bytes) -> int:
    """Returns the count of numbers at the end of a line; its first field is always a word."""
    fields = line.split(b" ")[1:]
    texts = [place for place, field in enumerate(fields, 1) if not _is_number(field)]
    return len(fields) - max(texts, default=0)


def _split(line: bytes, size: int) -> tuple[bytes, bytes] | None:
    """Returns the word of a line and its numbers as they stand there; None if there are fewer or more than `size`."""
    if line.count(b" ") == size:  # nearly all: the word has no space
        word, _, numbers = line.partition(b" ")
        return word, numbers
    word, *numbers = line.rsplit(b" ", size)
    if len(numbers) < size or not _is_number(numbers[0]) or _is_number(word.rpartition(b" ")[2]):
        return None
    return word, b" ".join(numbers)


def _parsed(path: Path, lines: Iterable[bytes], wanted: dict[bytes, str]) -> tuple[tuple[str, ...], np.ndarray]:
    found: dict[str, np.ndarray] = {}
    size, promised, count, number = 0, 0, 0, 0
    for number, line in enumerate(lines, start=1):
        text = line.rstrip(b"\r\n ")
        if number == 1:
            text = text.removeprefix(BYTE_ORDER_MARK)
            if header := HEADER.fullmatch(text):
                promised, size = map(int, header.groups())
                continue
        if not text:
            continue
        size = size or _size(text)
        entry = _split(text, size) if size else None
        if entry is None:
            binary = "; files in a binary format are not read" if b"\0" in line else ""
            raise UserError(f"{path}: line {number}: not a word and {size or 'its'} numbers{binary}")
        count += 1
        word = wanted.get(entry[0])
        if word is not None and word not in found:
            found[word] = _vector(entry[1], f"{path}: line {number}")
    if count < promised:
        raise UserError(f"{path}: ends at line {number}, after {count} of {promised} words")
    return tuple(found), np.stack(list(found.values())) if found else np.empty((0, 0), np.float32)


def _vector(numbers: bytes, where: str) -> np.ndarray:
    """Returns the numbers of a line as float32."""
    texts = numbers.split(b" ")
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(text) for text in texts], np.float32)
    except ValueError as error:
        raise UserError(f"{where}: not a word and {len(texts)} numbers") from error
    if not np.isfinite(vector).all():
        raise UserError(f"{where}: NaN or infinite numbers")
    return vector
