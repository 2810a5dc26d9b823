"""Pieces of music as long sequences of tokens: excerpts for a transformer, held out piece by piece."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import locate
from gdl_jax.core.paths import expand_user
from gdl_jax.core.progress import progress_bar
from gdl_jax.data import files
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import CONTENTS, ArraySource, DataSet, Rows, digest_of
from gdl_jax.data.music import chorales, midi, midi_folder, musicxml
from gdl_jax.data.music.chorales import split_by_tune, tunes
from gdl_jax.data.music.musical_tokens import EventTokens, GridTokens
from gdl_jax.data.music.performances import INSTRUMENT, from_score, read_midi
from gdl_jax.data.text.text_files import find
from gdl_jax.data.text.windows import Windows

VERSION = 1  # of the performed notes read from files: part of the cache file's name
DATASETS = {
    "composers": "Bach's chorales, quartets of Beethoven, Haydn and Mozart, Monteverdi, the Trecento (bundled)",
    "corpus_chorales": chorales.DATASETS["corpus_chorales"],
    "chorales": chorales.DATASETS["chorales"],
    "piano_midi_de": "337 performed piano pieces, piano_midi_de/midis/COMPOSER in data_dir; 25 composers and Christmas",
    "midi:PATH": "a folder of MIDI files; its folders are the composers",
}
PATH_KINDS = ("midi",)  # the kinds KIND:PATH of DATASETS
PIANO_LAYOUTS = ("piano_midi_de/midis", "piano_midi_de", "midis")
STRINGS = ("violin", "violin", "violin", "cello")
# Folders of music21's corpus, besides Bach's chorales, and the instruments of the parts.
BUNDLED = {
    "beethoven": STRINGS,
    "haydn": STRINGS,
    "monteverdi": ("piano",),
    "mozart": STRINGS,
    "trecento": ("harp",),
}
COMPOSERS = {"composers": 6, "corpus_chorales": 1, "chorales": 1, "piano_midi_de": 26}  # number of each set
UNKNOWN = "unknown"  # composer of files that are in no folder
SPLITS = ("train", "validation", "test")


class Piece(NamedTuple):
    """A piece of music.

    Attributes:
      composer: its composer's name.
      notes: performed notes (N, 5), as in data/music/performances.py.
      tune: equal for settings of one tune, which are held out together.
    """

    composer: str
    notes: np.ndarray
    tune: object


@dataclass(frozen=True)
class Excerpts:
    """Source with a row for each start: the header of the piece there, and the tokens from there on.

    Rows have the same length; after the end of a piece, the next one follows. A row that starts within a header is the
    beginning of the piece.

    Attributes:
      tokens: (T,), all pieces, each after its header.
      begins: (P,), ascending, the place of each piece's header.
      headers: (P,), the number of tokens of each header.
      starts: (N,) places, each at most T - length.
      length: of a row, in tokens.
    """

    tokens: np.ndarray
    begins: np.ndarray
    headers: np.ndarray
    starts: np.ndarray
    length: int

    @property
    def nbytes(self) -> int:
        return len(self) * self.length * self.tokens.itemsize

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, indices: np.ndarray) -> Rows:
        """Returns {"tokens": (len(indices), length)}."""
        starts = self.starts[indices][:, None]
        piece = np.searchsorted(self.begins, starts, side="right") - 1
        begins, headers = self.begins[piece], self.headers[piece]
        starts = np.where(starts < begins + headers, begins + headers, starts)
        here = np.arange(self.length)
        return {"tokens": self.tokens[np.where(here < headers, begins + here, starts + here - headers)]}

    def first(self, count: int) -> "Excerpts":
        """Returns the first `count` rows."""
        return dataclasses.replace(self, starts=self.starts[:count])


@dataclass(frozen=True, kw_only=True)
class MusicTokens(DataSet):
    """Pieces as tokens: rows are {"tokens": (sequence_length + 1,) int32}; the last is only predicted.

    Training rows start at every token, on a grid at every step. Held-out rows share no token but those of headers.

    Attributes:
      tokenizer: EventTokens or GridTokens.
      pieces: split -> the tokens of each piece without its header, and its composer.
    """

    tokenizer: EventTokens | GridTokens
    pieces: Mapping[str, Sequence[tuple[str, np.ndarray]]] = field(metadata=CONTENTS)


def load(
    name: str, *, data_dir: str | None = None, encoding: str = "events", sequence_length: int = 256
) -> MusicTokens:
    """Returns the pieces `name`.

    Where the data have no splits, a tenth of the pieces each is for validation and testing, by a fixed seed.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      encoding: "events" of performed notes, or "grid" of sixteenth notes, for chorales only.
      sequence_length: tokens of context; a row has one more.

    Raises:
      UserError: unknown name; missing or damaged files; an encoding that the pieces don't have; a split that is shorter
        than a row.
    """
    if encoding == "grid":
        if name not in chorales.DATASETS:
            raise ConfigError("encoding", encoding, f"is for {' and '.join(chorales.DATASETS)} only")
        voices = chorales.load(name, data_dir=data_dir, bars=1).pieces
        grid = GridTokens()
        pieces = {split: [("bach", grid.encode(piece)) for piece in voices[split]] for split in SPLITS}
        headers = {split: [grid.usual_header("bach")] * len(pieces[split]) for split in SPLITS}
        if sequence_length % grid.voices:
            raise ConfigError("context", sequence_length, f"must be a multiple of the {grid.voices} voices")
        return _music(name, grid, pieces, headers, sequence_length)
    members = _read(name, data_dir)
    composers = tuple(sorted({piece.composer for each in members.values() for piece in each}))
    events = EventTokens(composers, tuple(_ensemble(members["train"], composer) for composer in composers))
    pieces, headers = {}, {}
    for split, each in members.items():
        pieces[split] = [(piece.composer, events.encode(piece.notes)) for piece in each]
        headers[split] = [events.header(piece.composer, piece.notes[:, INSTRUMENT].tolist()) for piece in each]
    return _music(name, events, pieces, headers, sequence_length)


def blank(name: str, encoding: str, sequence_length: int) -> MusicTokens | None:
    """Returns a row with the shapes and the number of tokens of a set, without its data; None for a user's own set."""
    if name not in COMPOSERS:
        return None
    names = tuple(f"composer {number + 1}" for number in range(COMPOSERS[name]))
    tokenizer = GridTokens() if encoding == "grid" else EventTokens(names, ((0,),) * len(names))
    row = ArraySource({"tokens": np.zeros((1, sequence_length + 1), np.int32)})
    return MusicTokens(name, row, row, row, tokenizer=tokenizer, pieces={})


def _side_by_side(begins: np.ndarray, headers: np.ndarray, total: int, length: int) -> np.ndarray:
    """Returns the starts of rows of excerpts that share no token but those of headers; see `Excerpts`."""
    starts, place = [], 0
    while place + length <= total:
        piece = int(np.searchsorted(begins, place, side="right")) - 1
        header = int(headers[piece])
        if length <= header:
            raise ConfigError("context", length - 1, f"must be above {header}, the tokens before a piece")
        starts.append(place)
        place = max(place, int(begins[piece]) + header) + length - header
    return np.array(starts, np.int64)


def _ensemble(pieces: Sequence[Piece], composer: str) -> tuple[int, ...]:
    """Returns the instruments of most of a composer's pieces; the piano if there are none."""
    ensembles = [
        tuple(np.unique(piece.notes[:, INSTRUMENT]).tolist()) for piece in pieces if piece.composer == composer
    ]
    return max(ensembles, key=ensembles.count, default=(0,))


def _music(
    name: str,
    tokenizer: EventTokens | GridTokens,
    pieces: Mapping[str, Sequence[tuple[str, np.ndarray]]],
    headers: Mapping[str, Sequence[np.ndarray]],
    sequence_length: int,
) -> MusicTokens:
    sources = {}
    for split in SPLITS:
        parts = [
            part for header, (_, tokens) in zip(headers[split], pieces[split], strict=True) for part in (header, tokens)
        ]
        ends = np.cumsum(list(map(len, parts)))
        tokens = np.concatenate(parts).astype(np.int32)
        lengths = np.array(list(map(len, headers[split])))
        if len(tokens) <= sequence_length:
            few = f"the {split} split has {len(tokens)} tokens; needs more than context={sequence_length}"
            raise ConfigError("dataset", name, few)
        begins = np.concatenate([[0], ends[1::2][:-1]])
        length = sequence_length + 1
        if isinstance(
            tokenizer, GridTokens
        ):  # rows begin with the soprano; every token but the first is predicted once
            step = tokenizer.voices if split == "train" else sequence_length
            sources[split] = Windows({"tokens": tokens}, np.arange(0, len(tokens) - sequence_length, step), length)
        else:
            starts = np.arange(len(tokens) - length + 1)
            if split != "train":
                starts = _side_by_side(begins, lengths, len(tokens), length)
            sources[split] = Excerpts(tokens, begins, lengths, starts, length)
    digest = digest_of(tokens for split in SPLITS for _, tokens in pieces[split])
    return MusicTokens(name, **sources, digest=digest, tokenizer=tokenizer, pieces=pieces)


def _read(name: str, data_dir: str | None) -> dict[str, list[Piece]]:
    """Returns the pieces of each split."""
    kind, _, path = name.partition(":")
    if name == "chorales":
        voices = chorales.load(name, data_dir=data_dir, bars=1).pieces
        grid = GridTokens()
        return {
            split: [Piece("bach", grid.decode(grid.encode(piece)), None) for piece in voices[split]] for split in SPLITS
        }
    if name in ("corpus_chorales", "composers"):
        pieces = _chorales() + ([] if name == "corpus_chorales" else _corpus())
    elif name == "piano_midi_de":
        pieces = _folder(find(name, data_dir, PIANO_LAYOUTS))
    elif kind in PATH_KINDS and path:
        pieces = _folder(Path(expand_user(path, "dataset", name)))
    else:
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    if len(pieces) < 3:
        raise ConfigError("dataset", name, f"has {len(pieces)} pieces; needs three, to hold some out")
    places = split_by_tune([piece.tune for piece in pieces])
    return {split: [pieces[place] for place in places[split]] for split in SPLITS}


def _chorales() -> list[Piece]:
    scores = chorales.corpus_notes()
    return [
        Piece("bach", from_score(notes, ("piano",)), tune) for notes, tune in zip(scores, tunes(scores), strict=True)
    ]


def _corpus() -> list[Piece]:
    """Returns the pieces of BUNDLED; scores that our reader of MusicXML does not take are left out."""
    root = locate("music21", "music") / "corpus"

    def read(progress: Callable) -> dict[str, np.ndarray]:
        found, composers = [], []
        for composer in BUNDLED:
            scores = {}  # without duplicates
            paths = (path for path in (root / composer).rglob("*") if path.suffix in (".mxl", ".xml"))
            for path in progress(sorted(paths), composer):
                try:
                    notes = musicxml.read_notes(path)
                except UserError:  # lengths that are no multiple of a tick
                    continue
                scores.setdefault(notes.tobytes(), notes)
            found += [from_score(notes, BUNDLED[composer]) for notes in scores.values() if len(notes)]
            composers += [composer] * (len(found) - len(composers))
        return {
            "notes": np.concatenate(found),
            "counts": np.array(list(map(len, found))),
            "composers": np.array(composers),
        }

    return _cached(f"corpus-performances-{VERSION}.npz", read)


def _folder(root: Path) -> list[Piece]:
    """Returns the pieces of a folder of MIDI files; files that cannot be read are named on standard error."""
    names = files.scan(root, "MIDI files", midi_folder.SUFFIXES).names
    digest = hashlib.blake2b(repr(VERSION).encode(), digest_size=8)
    for name in names:
        digest.update(f"\0{name}\0".encode(errors="surrogateescape"))
        digest.update((root / name).read_bytes())

    def read(progress: Callable) -> dict[str, np.ndarray]:
        midi.load_mido()  # if it is missing, say so here rather than of each file
        found, composers, broken = [], [], []
        for name in progress(names, "MIDI files"):
            try:
                found.append(read_midi(root / name))
            except UserError as error:
                broken.append(str(error).removeprefix(f"{root}/"))
                continue
            folders = Path(name).parts[:-1]
            composers.append(folders[0].lower() if folders else UNKNOWN)
        if not found:
            raise UserError(f"{root}: none of {len(names)} MIDI files can be read; {broken[0]}")
        return {
            "notes": np.concatenate(found),
            "counts": np.array(list(map(len, found))),
            "composers": np.array(composers),
            "broken": np.array(broken, str),
        }

    return _cached(f"performances-{digest.hexdigest()}.npz", read)


def _cached(name: str, read: Callable[[Callable], dict[str, np.ndarray]]) -> list[Piece]:
    """Returns the pieces in a cache file, which `read` makes once."""

    def progress(paths, what):
        return progress_bar(paths, desc=f"reading {what}, once", unit="files")

    stored = cached_arrays(name, lambda: read(progress))
    if broken := stored.get("broken", np.zeros(0, str)).tolist():
        sys.stderr.write(f"{len(broken)} MIDI files left out: {files.first_few(broken)}\n")
    notes = np.split(stored["notes"], np.cumsum(stored["counts"])[:-1])
    composers = stored["composers"].tolist()
    return [Piece(*each, (name, place)) for place, each in enumerate(zip(composers, notes, strict=True))]
