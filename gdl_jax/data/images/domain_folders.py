"""Folders of images of two domains: the names of their subfolders, and what the readers of such folders share."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from gdl_jax.core.errors import UserError
from gdl_jax.data.files import Listing, describe_copies, describe_others, hash_contents, printable, scan
from gdl_jax.data.images.folder import SUFFIXES, split_of

DEFAULT_SIZE = 128
DOMAINS = ("A", "B")
SPLIT_FOLDERS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
HEADERS = 1000  # files of a folder whose headers are read to check it


def subfolders(root: Path, names: Iterable[str]) -> list[str]:
    """Returns those of `names` that are folders in `root`.

    Raises:
      UserError: there is no such folder `root`, or it cannot be read.
    """
    try:
        found = {entry.name for entry in root.iterdir() if entry.is_dir()}
    except OSError as error:
        raise UserError(f"{root}: cannot be read: {error.strerror}") from error
    return [name for name in names if name in found]


def scan_folders(root: Path, folders: Iterable[str]) -> Listing:
    """Returns the images in some subfolders of `root`, however deep, as `files.scan` does.

    Raises:
      UserError: a subfolder has no images or cannot be read; names it.
    """
    names, sizes, others = [], [], Counter()
    for folder in folders:
        listing = scan(root / folder, "images", SUFFIXES)
        names += [f"{folder}/{name}" for name in listing.names]
        sizes += listing.sizes
        others += listing.others
    return Listing(names, sizes, others)


def sample(names: Sequence[str]) -> Sequence[str]:
    """Returns at most HEADERS names, evenly spaced."""
    return names[:: max(1, -(-len(names) // HEADERS))]


def is_held_out(name: str) -> bool:
    """True for a tenth of all names: those of the images for testing, in a folder that does not set some apart."""
    return split_of(name) == "test"


def describe(root: Path, listing: Listing, splits: Mapping[str, str], notes: Iterable[str] = ()) -> tuple[str, str]:
    """Returns a folder's note and digest, and writes the note to standard error.

    Args:
      root: the folder.
      listing: its images.
      splits: image -> split; images without one are not used.
      notes: other remarks.
    """
    used = [(name, size) for name, size in zip(listing.names, listing.sizes, strict=True) if name in splits]
    unused = Counter(PurePath(name).suffix.lower() for name in listing.names if name not in splits)
    names, sizes = map(list, zip(*used, strict=True))
    contents = hash_contents(root, Listing(names, sizes, listing.others))
    copies = describe_copies(contents.hashes, [splits[name] for name in names])
    note = "; ".join(filter(None, (*notes, describe_others(listing.others + unused), copies)))
    if note:
        sys.stderr.write(f"{printable(str(root))}: {note}\n")
    return note, contents.digest
