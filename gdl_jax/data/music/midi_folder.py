"""Folders of MIDI files, read once and cached."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.progress import progress_bar
from gdl_jax.data import files
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.music import midi
from gdl_jax.data.music.notes import as_notes

VERSION = 2  # of the notes read from a file: part of the cache file's name
SUFFIXES = (".mid", ".midi", ".rmi", ".kar")


class Folder(NamedTuple):
    """MIDI files of a folder.

    Attributes:
      names: of the files that were read, in the order asked for.
      pieces: the notes (N, 4) of each.
      broken: "NAME: what is wrong with it" of the others.
      others: note on skipped files of other kinds.
    """

    names: list[str]
    pieces: list[np.ndarray]
    broken: list[str]
    others: str = ""

    @property
    def repeats(self) -> list[str]:
        """Pairs "NAME = EARLIER NAME" of files with the same notes."""
        first: dict[bytes, str] = {}
        pairs = []
        for name, piece in zip(self.names, self.pieces, strict=True):
            earlier = first.setdefault(piece.tobytes(), name)
            if earlier != name:
                pairs.append(f"{files.printable(name)} = {files.printable(earlier)}")
        return pairs

    @property
    def note(self) -> str:
        """One line on the files that are skipped and those that repeat others; "" if there are none."""
        notes = [self.others] if self.others else []
        if self.broken:
            total = len(self.names) + len(self.broken)
            notes.insert(0, f"{len(self.broken)} of {total} MIDI files left out: {files.first_few(self.broken)}")
        if self.repeats:
            notes.append(f"{len(self.repeats)} files have the same notes as another: {files.first_few(self.repeats)}")
        return "; ".join(notes)


def read_folder(root: Path, names: Sequence[str] | None = None, merge_unisons: bool = False) -> Folder:
    """Reads the files of a folder and caches their notes.

    Files that cannot be read are skipped; `Folder.note` is written to standard error.

    Args:
      root: the folder.
      names: of the files; None: all MIDI files in it, as `files.scan` finds them.
      merge_unisons: as for `midi.read_notes`.

    Raises:
      UserError: no such folder; no MIDI file in it, or none that can be read; a folder in it cannot be read.
    """
    others = ""
    if names is None:
        listing = files.scan(root, "MIDI files", SUFFIXES)
        names, others = listing.names, files.describe_others(listing.others)
    digest = hashlib.blake2b(repr((VERSION, merge_unisons)).encode(), digest_size=8)
    for name in names:
        digest.update(f"\0{name}\0".encode(errors="surrogateescape"))
        try:
            digest.update((root / name).read_bytes())
        except OSError:
            digest.update(b"unreadable")
    stored = cached_arrays(f"midi-{digest.hexdigest()}.npz", lambda: _read_all(root, names, merge_unisons))
    pieces = np.split(stored["notes"], np.cumsum(stored["counts"])[:-1])
    reasons = stored["reasons"].tolist()
    broken = [f"{files.printable(name)}: {why}" for name, why in zip(names, reasons, strict=True) if why]
    read = [(name, piece) for name, piece in zip(names, pieces, strict=True) if len(piece)]
    if not read:
        raise UserError(f"{root}: none of {len(names)} MIDI files can be read; {broken[0]}")
    contents = Folder([name for name, _ in read], [piece for _, piece in read], broken, others)
    if contents.note:
        sys.stderr.write(f"{files.printable(str(root))}: {contents.note}\n")
    return contents


def _read_all(root: Path, names: Sequence[str], merge_unisons: bool) -> dict[str, np.ndarray]:
    """Returns the arrays to cache: all notes, the number of notes of each file, and why files could not be read."""
    midi.load_mido()  # if it is missing, say so here rather than of each file
    pieces, reasons = [], []
    for name in progress_bar(names, desc="reading MIDI files, once", unit="files"):
        try:
            pieces.append(midi.read_notes(root / name, merge_unisons))
            reasons.append("")
        except UserError as error:
            pieces.append(as_notes(()))
            reasons.append(str(error).removeprefix(f"{root / name}: "))
    return {"notes": np.concatenate(pieces), "counts": np.array(list(map(len, pieces))), "reasons": np.array(reasons)}
