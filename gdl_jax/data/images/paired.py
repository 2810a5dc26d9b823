"""Pairs of images, one of domain A and one of B: side by side in one file, or files of one name in two folders."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import Rows, Source
from gdl_jax.data.files import scan
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
from gdl_jax.data.images.domains import Paired, TwoDomains, swapped, to_float
from gdl_jax.data.images.folder import SUFFIXES, ImageFiles, in_threads, split_of
from gdl_jax.data.images.pixels import read_header, read_image, resize
from gdl_jax.data.known import find

FACADES = ("label", "photo")  # domains A and B, and the folders of their images


@dataclass(frozen=True)
class SideBySide:
    """Source of pairs of which each is one file: the image of A is its left half, that of B its right half.

    Attributes:
      root: the folder.
      names: of the files, relative to it.
      size: images are squashed to size x size.
    """

    root: Path
    names: Sequence[str]
    size: int

    @property
    def nbytes(self) -> int:
        return len(self) * (2 * self.size * self.size * 3 + 2)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: np.ndarray) -> Rows:
        """Reads the files at `indices`.

        Raises:
          UserError: one of them cannot be read or has an odd width; names it.
        """
        images = {domain: np.empty((len(indices), self.size, self.size, 3), np.uint8) for domain in ("a", "b")}

        def read(row: int) -> None:
            path = self.root / self.names[indices[row]]
            picture = read_image(path)
            half = _half(path, picture.shape[1])
            images["a"][row] = resize(picture[:, :half], self.size)
            images["b"][row] = resize(picture[:, half:], self.size)

        in_threads(len(indices), read)
        first = np.ones(len(indices), np.uint8)
        return images | {"a_first": first, "b_first": first}

    def labels(self) -> np.ndarray:
        raise KeyError("label")


def _half(path: Path, width: int) -> int:
    """Returns half of the width of two pictures side by side.

    Raises:
      UserError: it is odd; names the file.
    """
    if width % 2:
        raise UserError(f"{path}: is {width} pixels wide, so it is not two pictures side by side")
    return width // 2


class Place(NamedTuple):
    """Split, domain and name of a file, by its folders.

    Attributes:
      split: None if no folder names one.
      domain: name of the domain's folder; None for a file with both images.
      key: the rest of the file's name, without its suffix if the other image is another file.
    """

    split: str | None
    domain: str | None
    key: str


def _place(name: str, domains: Sequence[str]) -> Place:
    """Returns the place of a file: "train/A/deep/1.png" and "A/train/deep/1.png" are ("train", "A", "deep/1")."""
    folders, split, domain = list(PurePath(name).parts[:-1]), None, None
    while folders:
        if split is None and folders[0] in SPLIT_FOLDERS:
            split = SPLIT_FOLDERS[folders.pop(0)]
        elif domain is None and folders[0] in domains:
            domain = folders.pop(0)
        else:
            break
    file = PurePath(name)
    return Place(split, domain, "/".join([*folders, file.name if domain is None else file.stem]))


Pair = dict[str | None, str]  # domain's folder -> file; None -> the file with both images


def _match(root: Path, places: Mapping[str, Place], domains: Sequence[str]) -> dict[tuple[str | None, str], Pair]:
    """Returns (split, key) -> the pair's files.

    Raises:
      UserError: a file has no partner, or two; names it.
    """
    pairs: dict[tuple[str | None, str], Pair] = {}
    for name, place in places.items():
        pair = pairs.setdefault((place.split, place.key), {})
        if (twin := pair.setdefault(place.domain, name)) != name:
            raise UserError(f"{root / name}: has the name of another image of {place.domain}, {twin}")
    for pair in pairs.values():
        for domain in domains:
            if None not in pair and domain not in pair:
                (name,) = pair.values()
                raise UserError(f"{root / name}: has no partner, an image of the same name in {domain}")
    return pairs


def _splits_of(root: Path, pairs: Mapping[tuple[str | None, str], Pair]) -> dict[tuple[str | None, str], str]:
    """Returns the split of each pair: its folder's, or one by a hash of its name.

    Raises:
      UserError: there would be nothing to train on, or nothing to test on.
    """
    named = {split for split, _ in pairs}
    if named == {None}:
        splits = {pair: split_of(pair[1]) for pair in pairs}
    elif "test" in named:
        splits = {pair: pair[0] for pair in pairs}
    else:
        splits = {(split, key): "test" if split == "train" and is_held_out(key) else split for split, key in pairs}
    for split in ("train", "test"):
        if split not in splits.values():
            reason = f"none of the {len(pairs)} pairs of images is in the {split} split"
            raise UserError(f"{root}: {reason}; make folders train and test, with enough pairs in each")
    return splits


def _source(root: Path, pairs: Sequence[Pair], domains: Sequence[str], size: int) -> Source:
    if None in pairs[0]:
        return SideBySide(root, [pair[None] for pair in pairs], size)
    return Paired(*(ImageFiles(root, [pair[domain] for pair in pairs], size) for domain in domains))


def load(root: Path, image_size: int | None = None, domains: tuple[str, str] = DOMAINS) -> TwoDomains:
    """Loads pairs of images; they are squashed to a square and read lazily.

    A pair is one file, with A's image left and B's right, both of the same width; or it is two files in folders A and B
    whose names differ in the suffix only. There may be folders train, test and val (the validation split), inside or
    around A and B. Without any, pairs are split by a hash of their names: 80 % train, 10 % validation, 10 % test.
    Without test, a tenth of train is held out. Images outside of these folders are skipped.

    Args:
      root: the folder.
      image_size: pixels a side; None: 128.
      domains: names of the folders A and B.

    Raises:
      UserError: no pairs, an image without partner, a side-by-side picture of odd width, or an unreadable folder or
        file.
    """
    folders = subfolders(root, (*SPLIT_FOLDERS, *domains))
    listing = scan_folders(root, folders) if folders else scan(root, "images", SUFFIXES)
    places = {name: _place(name, domains) for name in listing.names}
    for field in ("split", "domain"):
        if any(getattr(place, field) for place in places.values()):
            places = {name: place for name, place in places.items() if getattr(place, field)}
    pairs = _match(root, places, domains)
    splits = _splits_of(root, pairs)
    for name in sample([pair[None] for pair in pairs.values() if None in pair]):
        _half(root / name, read_header(root / name).width)
    sources = {}
    for split in sorted(set(splits.values())):
        chosen = [pairs[pair] for pair in sorted(pairs, key=lambda pair: pair[1]) if splits[pair] == split]
        sources[split] = _source(root, chosen, domains, image_size or DEFAULT_SIZE)
    named = {place.split for place in places.values()}
    all_named = "test" in named or None in named
    notes = [] if all_named else ["no folder test, so a tenth of the pairs is held out for testing"]
    of_file = {name: splits[place.split, place.key] for name, place in places.items()}
    note, digest = describe(root, listing, of_file, notes)
    name = f"paired:{root}"
    return TwoDomains(name, **sources, transform=to_float, note=note, digest=digest, domains=domains, paired=True)


def load_known(name: str, data_dir: str | None, image_size: int | None = None) -> TwoDomains:
    """Loads `facades` from the folder of that name in data_dir: label maps are A, photos B.

    The folder has {train,test}/{label,photo}, or the side-by-side files of pix2pix (photo left, label map right).

    Raises:
      UserError: it is not there, or as `load`.
    """
    root = find(name, data_dir, (name,))
    if (root / "train" / FACADES[0]).is_dir():
        data = load(root, image_size, FACADES)
    else:
        data = swapped(load(root, image_size))
    return dataclasses.replace(data, name=name, domains=FACADES, digest="")
