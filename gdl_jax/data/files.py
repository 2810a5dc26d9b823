"""Files in folders: symbolic links are followed, hidden files are skipped, files of other kinds are counted."""

import errno
import hashlib
import heapq
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import digest_of

SKIPPED = ("lost+found",)  # a file system's own folder
MAX_HASHED_BYTES = 2**28  # of a folder's contents that its digest reads
MAX_HASHED_FILES = 10_000
CHUNK = 2**20  # bytes per read
SHOWN_SUFFIXES = 5
SHOWN = 3  # entries of a list in a note


class Listing(NamedTuple):
    """Files of one kind in a folder.

    Attributes:
      names: relative to the folder, sorted.
      sizes: of the files, in bytes.
      others: suffix -> number of visible files that are not of this kind.
    """

    names: list[str]
    sizes: list[int]
    others: Counter


class _Folder(NamedTuple):
    """A folder to list: the number of links on the way there, its name, the identities of its parents and its own."""

    links: int
    name: str
    chain: tuple[tuple[int, int], ...]


class _File(NamedTuple):
    """A file of the wanted kind: the number of links on the way there, its name, its size, its (class, identity)."""

    links: int
    name: str
    size: int
    key: tuple[str, tuple[int, int]]


def list_files(root: Path, kind: str, suffixes: tuple[str, ...]) -> list[str]:
    """Returns the names that `scan` finds."""
    return scan(root, kind, suffixes).names


def scan(root: Path, kind: str, suffixes: tuple[str, ...]) -> Listing:
    """Returns the files under `root` with one of `suffixes`, in upper or lower case, however deep.

    Symbolic links are followed. A file or folder that links reach several times counts once in each of the root's
    subfolders (the classes of a set of images); links to a folder that contains them are skipped. Hidden files and
    folders (`.name`, so macOS's `._name` too) are skipped.

    Args:
      root: the folder.
      kind: plural noun for messages.
      suffixes: in lower case, with their dots.

    Raises:
      UserError: no such folder, no such file in it, or a folder or file in it cannot be read; names it.
    """
    try:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder of {kind}")
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror}") from error
    found, others = [], Counter()
    for file, suffix in _walk(root, suffixes):
        if file is None:
            others[suffix] += 1
        else:
            found.append(file)
    if not found:
        raise UserError(f"{root}: no {kind} in it ({', '.join(suffixes)})")
    kept = {}
    for file in sorted(found):  # a file itself before links to it
        if not (file.links and file.key in kept):
            kept.setdefault(file.key, []).append(file)
    ordered = sorted((file for files in kept.values() for file in files), key=lambda file: file.name)
    return Listing([file.name for file in ordered], [file.size for file in ordered], others)


def _walk(root: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[_File | None, str]]:
    """Yields (file, suffix) for each visible file; the file is None if it is of another kind."""
    pending, seen = [_Folder(0, "", (_identity(root.stat()),))], set()
    while pending:
        folder = heapq.heappop(pending)  # a folder itself comes before links to it
        key = (_top(folder.name), folder.chain[-1])
        if key in seen:
            continue
        seen.add(key)
        for entry in _entries(root / folder.name):
            name = f"{folder.name}/{entry.name}" if folder.name else entry.name
            suffix = PurePath(entry.name).suffix.lower()
            status = _status(entry, needed=suffix in suffixes)
            if status is None:
                yield None, suffix
                continue
            links, identity = folder.links + entry.is_symlink(), _identity(status)
            if stat.S_ISDIR(status.st_mode):
                if identity not in folder.chain:  # else a loop
                    heapq.heappush(pending, _Folder(links, name, (*folder.chain, identity)))
            elif suffix in suffixes and stat.S_ISREG(status.st_mode):
                yield _File(links, name, status.st_size, (_top(folder.name), identity)), suffix
            else:
                yield None, suffix


def _top(folder: str) -> str:
    """Returns the root's subfolder that has `folder` in it; '' for the root."""
    return folder.partition("/")[0]


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _entries(path: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(path) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in SKIPPED]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return sorted(visible, key=lambda entry: entry.name)


def _status(entry: os.DirEntry, needed: bool) -> os.stat_result | None:
    """Returns the status of a file or folder, of its target if it is a link; None if it is unreadable and not needed.

    A broken link without a suffix may have led to a folder, so it counts as needed.
    """
    try:
        status = entry.stat()
        if needed and not os.access(entry.path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return status
    except OSError as error:
        if not needed and (PurePath(entry.name).suffix or error.errno == errno.ELOOP):
            return None
        broken = entry.is_symlink() and isinstance(error, FileNotFoundError)
        reason = "a broken link" if broken else error.strerror
        raise UserError(f"{entry.path}: cannot be read: {reason}") from error


def describe_others(others: Counter) -> str:
    """Returns a note like "skipped 12 other files (.txt, .heic)"; '' if there are none."""
    if not others:
        return ""
    shown = [suffix or "no suffix" for suffix, _ in others.most_common(SHOWN_SUFFIXES)]
    shown += ["..."] if len(others) > SHOWN_SUFFIXES else []
    total = others.total()
    return f"skipped {total:,} other file{'' if total == 1 else 's'} ({', '.join(shown)})"


def first_few(entries: Sequence[str], separator: str = "; ") -> str:
    """Returns the first three entries, followed by "and 12 more" if there are more."""
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return separator.join(entries[:SHOWN]) + more


def printable(name: str) -> str:
    """Returns a name that can be printed and saved: bytes of a file's name that are not UTF-8 become `\\xe9`."""
    try:
        return os.fsencode(name).decode(errors="backslashreplace")
    except UnicodeEncodeError:  # surrogates that don't stand for bytes, or a locale that lacks a character
        return name.encode(errors="backslashreplace").decode()


class Contents(NamedTuple):
    """Fingerprint of a folder.

    Attributes:
      digest: of names, sizes and contents.
      hashes: name -> hash of the contents; {} if the folder is so large that only a subset was read.
    """

    digest: str
    hashes: dict[str, bytes]


def hash_contents(root: Path, listing: Listing) -> Contents:
    """Returns the fingerprint of a folder's files, in the order of `listing`.

    It covers the names and sizes of all files, and the contents of all of them if they are at most 10,000 and 256 MiB;
    otherwise those of an evenly spaced subset of about that size.

    Raises:
      UserError: a file cannot be read; names it.
    """
    count = len(listing.names)
    step = max(1, -(-sum(listing.sizes) // MAX_HASHED_BYTES), -(-count // MAX_HASHED_FILES))
    hashes = {name: _hash_file(root / name) for name in listing.names[::step]}
    encoded = (f"{name}\0{size}\0".encode(errors="surrogateescape") for name, size in zip(*listing[:2], strict=True))
    return Contents(digest_of([*encoded, *hashes.values()]), hashes if step == 1 else {})


def _hash_file(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            digest = hashlib.sha256()
            while part := file.read(CHUNK):
                digest.update(part)
            return digest.digest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def describe_copies(hashes: dict[str, bytes], split_of_file: Sequence[str]) -> str:
    """Returns a note about exact copies of a file that are in different splits; '' if there are none.

    Args:
      hashes: name -> hash of the contents.
      split_of_file: the split of each name.
    """
    first: dict[bytes, tuple[str, str]] = {}  # hash -> the first file and its split
    pairs = []
    for (name, content), split in zip(hashes.items(), split_of_file, strict=False):
        original, its_split = first.setdefault(content, (name, split))
        if split != its_split:
            pairs.append(f"{printable(original)} ({its_split}) = {printable(name)} ({split})")
    if not pairs:
        return ""
    return f"copies in different splits: {first_few(pairs, ', ')}"
