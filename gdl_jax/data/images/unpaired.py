"""Unpaired images of two domains: folders trainA, trainB, testA and testB; and the book's sets of that form."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gdl_jax.core.errors import UserError
from gdl_jax.data.images.domain_folders import (
    DEFAULT_SIZE,
    DOMAINS,
    SPLIT_FOLDERS,
    describe,
    is_held_out,
    sample,
    scan_folders,
    subfolders,
)
from gdl_jax.data.images.domains import TwoDomains, Unpaired, to_float
from gdl_jax.data.images.folder import ImageFiles
from gdl_jax.data.images.pixels import read_header
from gdl_jax.data.known import find

FOLDERS = {f"{folder}{d}": (split, d) for folder, split in SPLIT_FOLDERS.items() for d in DOMAINS}
KNOWN = {"apple2orange": ("apples", "oranges"), "monet2photo": ("paintings", "photos")}  # name -> domains A and B


def _folders(root: Path) -> list[str]:
    """Returns the folders of images that are in `root`.

    Raises:
      UserError: a domain has no training images, or another split has one domain only; names the missing folder.
    """
    folders = subfolders(root, FOLDERS)
    needed = {f"{folder[:-1]}{domain}" for folder in ("trainA", *folders) for domain in DOMAINS}
    if missing := sorted(needed.difference(folders)):
        raise UserError(f"{root}: no folder {missing[0]}; unpaired images are in trainA, trainB, testA and testB")
    return folders


def _all_grey(root: Path, names: Sequence[str]) -> bool:
    headers = [read_header(root / name) for name in sample(names)]  # all, so that a damaged one is found here
    return all(header.grey for header in headers)


def load(root: Path, image_size: int | None = None) -> TwoDomains:
    """Loads trainA, trainB, testA and testB, and as validation split valA and valB if they are there.

    The images may be of any size and number; they are squashed to a square and read lazily. Without testA and testB, a
    tenth of the training images is held out for testing, by a hash of their names. A line on standard error and the
    data set's note say so; they also mention unused files, copies in different splits, and a domain that is grey if the
    other is not.

    Args:
      root: the folder.
      image_size: pixels a side; None: 128.

    Raises:
      UserError: an empty or missing folder, or one that cannot be read; names it.
    """
    listing = scan_folders(root, _folders(root))
    domain = {name: FOLDERS[name.partition("/")[0]][1] for name in listing.names}
    splits = {name: FOLDERS[name.partition("/")[0]][0] for name in listing.names}
    notes = []
    if "test" not in splits.values():
        in_train = [name for name in listing.names if splits[name] == "train"]
        splits |= {name: "test" for name in in_train if is_held_out(name.partition("/")[2])}
        notes.append("no testA and testB, so a tenth of the images is held out for testing")
    sources = {}
    for split in sorted({"train", "test", *splits.values()}):
        of_split = [name for name in listing.names if splits[name] == split]
        sources[split] = _source(root, of_split, domain, image_size or DEFAULT_SIZE)
    grey_of = {split: [_all_grey(root, part.names) for part in (each.a, each.b)] for split, each in sources.items()}
    grey = grey_of["train"]
    if grey[0] != grey[1]:
        notes.append(f"the images of train{DOMAINS[grey.index(True)]} are grey, the others in colour")
    note, digest = describe(root, listing, splits, notes)
    return TwoDomains(f"unpaired:{root}", **sources, transform=to_float, note=note, digest=digest)


def _source(root: Path, names: Iterable[str], domain: Mapping[str, str], size: int) -> Unpaired:
    """Returns the source of some files.

    Args:
      root: the folder.
      names: of the files.
      domain: of each file.
      size: pixels a side.

    Raises:
      UserError: they are all of one domain, because the hash of names has put the others into another split.
    """
    a, b = ([name for name in names if domain[name] == each] for each in DOMAINS)
    if not (a and b):
        raise UserError(f"{root}: train{'B' if a else 'A'} has too few images to hold out some; make testA and testB")
    return Unpaired(ImageFiles(root, a, size), ImageFiles(root, b, size))


def load_known(name: str, data_dir: str | None, image_size: int | None = None) -> TwoDomains:
    """Loads the set `name`, of KNOWN, from the folder of that name in data_dir.

    Raises:
      UserError: it is not there, or as `load`.
    """
    data = load(find(name, data_dir, (name,)), image_size)
    return dataclasses.replace(data, name=name, domains=KNOWN[name], digest="")
