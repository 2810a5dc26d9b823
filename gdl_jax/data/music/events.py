"""Music as sequences of chords and durations, for autoregressive models (book 07_02).

An event is a chord ("G2", "A2.E3.C#4") of one vocabulary and a duration of another. A new chord begins whenever any
note starts or ends, which music21 calls chordifying. A run of START tokens, as long as the context of a window,
precedes each piece, so that a model can begin a piece without a prompt and predict its end.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import DataSet, digest_of
from gdl_jax.data.music.chorales import corpus_notes, split_by_tune, tunes
from gdl_jax.data.music.midi_folder import read_folder
from gdl_jax.data.music.notes import LENGTH, PITCH, PITCHES, START, TICKS, TRACK, as_notes, chord_name, chord_pitches
from gdl_jax.data.text.text_files import find
from gdl_jax.data.text.windows import Windows

DATASETS = {
    "melodies": "the sopranos of 363 of Bach's chorales, from music21's corpus (bundled)",
    "corpus_chorales": "the same with all four voices (bundled)",
    "cello": "35 movements of Bach's cello suites, cello/cs1-1pre.mid etc. in data_dir",
    "midi:PATH": "a folder of MIDI files",
}
PATH_KINDS = ("midi",)  # the kinds KIND:PATH of DATASETS
# In the order in which the book's run read them, which decides its validation split; suite 6 lacks its allemande.
CELLO_MOVEMENTS = (
    *("1-2all", "5-1pre", "4-1pre", "3-5bou", "1-4sar", "2-5men", "3-3cou", "2-3cou", "1-6gig", "6-4sar", "4-5bou"),
    *("4-3cou", "5-3cou", "6-5gav", "6-6gig", "2-1pre", "3-1pre", "3-6gig", "2-6gig", "2-4sar", "3-4sar", "1-5men"),
    *("1-3cou", "6-1pre", "2-2all", "3-2all", "1-1pre", "5-2all", "4-2all", "5-5gav", "4-6gig", "5-6gig", "5-4sar"),
    *("4-4sar", "6-3cou"),
)
CELLO_LAYOUTS = ("cello/cs1-1pre.mid", "cs1-1pre.mid")
BUNDLED = ("melodies", "corpus_chorales")
HOLD_OUT = ("pieces", "windows")
BEGIN = "START"

Chord = tuple[int, ...] | None  # pitches from low to high; () is a rest, None is START


class Piece(NamedTuple):
    """Chords and their lengths in ticks (data/music/notes.py)."""

    chords: list[Chord]
    lengths: list[int]


@dataclass(frozen=True, kw_only=True)
class Music(DataSet):
    """Windows over pieces: rows are {"note", "duration"}, each int32 (sequence_length + continuation_length,).

    Attributes:
      notes: vocabulary of "note": names of chords, sorted; in the book's, "START" is the last.
      durations: vocabulary of "duration": quarter notes, in ascending order; START has duration 0.
    """

    notes: tuple[str, ...]
    durations: tuple[Fraction, ...]

    @property
    def begin(self) -> dict[str, int]:
        """Tokens of START, which precede and follow a piece."""
        return {"note": self.notes.index(BEGIN), "duration": 0}


def chords_of(notes: np.ndarray, rests: bool) -> Piece:
    """Converts notes (N, 4) to the chords that sound between consecutive changes.

    A note whose length was rounded to 0 sounds until the next change.

    Args:
      notes: as in data/music/notes.py.
      rests: keep silence as a chord; else it is dropped, and the next chord follows at once.
    """
    starts, ends = notes[:, START], notes[:, START] + notes[:, LENGTH]
    changes = np.unique(np.concatenate([[0], starts, ends]))
    sounding: list[set[int]] = [set() for _ in changes[1:]]
    firsts, lasts = np.searchsorted(changes, starts), np.searchsorted(changes, ends)
    for first, last, pitch in zip(firsts, np.maximum(lasts, firsts + 1), notes[:, PITCH].tolist(), strict=True):
        for pitches in sounding[first:last]:
            pitches.add(pitch)
    chords = zip(map(tuple, map(sorted, sounding)), np.diff(changes).tolist(), strict=True)
    kept = [(chord, length) for chord, length in chords if chord or rests]
    return Piece([chord for chord, _ in kept], [length for _, length in kept])


def notes_of(data: Music, note: Sequence[int], duration: Sequence[int]) -> np.ndarray:
    """Converts tokens (T,) and (T,) to notes (N, 4) of one track; the inverse of `chords_of`."""
    now, rows = 0, []
    for chord, length in zip(note, duration, strict=True):
        ticks = int(data.durations[length] * TICKS)
        if ticks:
            rows += [(now, ticks, pitch, 0) for pitch in chord_pitches(data.notes[chord])]
        now += ticks
    return as_notes(rows)


def load(
    name: str,
    *,
    data_dir: str | None = None,
    sequence_length: int = 32,
    continuation_length: int = 1,
    transpose: tuple[int, int] = (0, 0),
    hold_out: str = "pieces",
    rests: bool = True,
) -> Music:
    """Returns the music `name`.

    With hold_out="windows" and rests=False, `cello` is the book's: 387 notes, 18 durations, and 27,971 windows, of
    which the last 5,595 are for validation. The vocabularies are built from all pieces, as in the book, so a held-out
    chord that is absent from the training split counts fully in the loss.

    Args:
      name: one of DATASETS.
      data_dir: directory of the sets that are not bundled.
      sequence_length: chords of context; before a piece's first chord they are START.
      continuation_length: chords of a window after the context.
      transpose: first and last of the transpositions, in semitones, in which training pieces are repeated: (0, 0) as
        they are, (-6, 5) in all twelve keys.
      hold_out: "pieces": a tenth each is for validation and testing, as `chorales.split_by_tune` draws it. Bundled
        pieces on the same hymn are in one split, and so are files with the same notes. "windows": the last fifth of all
        windows is for validation and none for testing; it starts within a piece. Training windows that would contain a
        chord that a validation window predicts are dropped.
      rests: as for `chords_of`.

    Raises:
      UserError: unknown name; a missing or empty folder; unreadable files (for `midi:PATH` only if all are, else they
        are skipped and named); too few pieces; transpositions beyond MIDI's pitches.
    """
    low, high = transpose
    if not low <= 0 <= high:
        raise ConfigError("transpose", transpose, "must be a range of semitones with 0 in it")
    if sequence_length < 1:
        raise ConfigError("sequence_length", sequence_length, "must be at least 1")
    if hold_out not in HOLD_OUT:
        raise ConfigError("hold_out", hold_out, f"unknown; choose one of {', '.join(HOLD_OUT)}")
    scores, note = _read(name, data_dir)
    pieces = [chords_of(notes, rests) for notes in scores]
    same = tunes(scores) if name in BUNDLED else [notes.tobytes() for notes in scores]  # equal ones share a split
    splits = _split(name, pieces, same, sequence_length, continuation_length, hold_out)
    copies = {"train": [_transposed(splits["train"], key) for key in range(low, high + 1)]}
    copies |= {split: [passage] for split, passage in splits.items() if split != "train"}
    passages = [passage for passages in copies.values() for passage in passages]
    names = sorted({_name(chord) for passage in passages for chord in set(passage.chords)})
    lengths = sorted({length for passage in passages for length in passage.lengths})
    length = sequence_length + continuation_length
    sources = {split: _windows(passages, names, lengths, length) for split, passages in copies.items()}
    if empty := [split for split, source in sources.items() if not len(source)]:
        raise ConfigError("dataset", name, f"too little {empty[0]} music for windows of {length} events")
    durations = tuple(Fraction(length, TICKS) for length in lengths)
    tokens = [tokens.tobytes() for source in sources.values() for tokens in source.sequences.values()]
    digest = digest_of([repr((names, lengths)).encode(), *tokens])
    splits = {"test": None} | sources
    return Music(name, **splits, note=note, digest=digest, notes=tuple(names), durations=durations)


def first_in_every_key(train: Windows, count: int, keys: int) -> Windows:
    """Returns `count` training windows, taken from the beginning of each transposition in equal numbers.

    Args:
      train: the training split of `load`.
      count: at most len(train).
      keys: number of transpositions.
    """
    of_keys = train.starts.reshape(keys, -1)
    counts = map(len, np.array_split(np.arange(count), keys))
    spans = [(starts[0], starts[n - 1] + train.length) for starts, n in zip(of_keys, counts, strict=True) if n]
    tokens = {name: np.concatenate([row[a:b] for a, b in spans]) for name, row in train.sequences.items()}
    lengths = [b - a for a, b in spans]
    firsts = np.cumsum([0, *lengths])
    starts = [np.arange(first, last - train.length + 1) for first, last in pairwise(firsts)]
    return Windows(tokens, np.concatenate(starts), train.length)


def _read(name: str, data_dir: str | None) -> tuple[list[np.ndarray], str]:
    """Returns the notes of each piece, and a note on the files they come from."""
    kind, _, path = name.partition(":")
    if kind in PATH_KINDS and path:
        folder = read_folder(Path(expand_user(path)))
        return folder.pieces, folder.note
    if name == "cello":
        root = find(name, data_dir, CELLO_LAYOUTS).parent
        folder = read_folder(root, [f"cs{movement}.mid" for movement in CELLO_MOVEMENTS], merge_unisons=True)
        if folder.broken:  # the set is only the book's if it is complete
            raise UserError(f"{root}: {folder.note}")
        return folder.pieces, ""
    if name == "melodies":
        return [notes[notes[:, TRACK] == 0] for notes in corpus_notes()], ""
    if name == "corpus_chorales":
        return corpus_notes(), ""
    raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")


def _joined(pieces: Iterable[Piece], sequence_length: int) -> Piece:
    """Concatenates pieces, each after `sequence_length` times START."""
    chords: list[Chord] = []
    lengths: list[int] = []
    for piece in pieces:
        chords += [None] * sequence_length + piece.chords
        lengths += [0] * sequence_length + piece.lengths
    return Piece(chords, lengths)


def _split(
    name: str,
    pieces: list[Piece],
    same: Sequence[Hashable],
    sequence_length: int,
    continuation_length: int,
    hold_out: str,
) -> dict[str, Piece]:
    if hold_out == "windows":
        chords, lengths = _joined(pieces, sequence_length)
        windows = len(chords) - sequence_length - continuation_length + 1
        train = windows * 4 // 5
        if not continuation_length <= train < windows:
            raise ConfigError("dataset", name, f"{windows} windows are too few to hold some out")
        end = train + sequence_length  # the first held-out continuation begins here
        return {"train": Piece(chords[:end], lengths[:end]), "validation": Piece(chords[train:], lengths[train:])}
    if len(set(same)) < 3:
        few = f"{len(set(same))} different pieces are too few to hold two out"
        raise ConfigError("dataset", name, f"{few}; use hold_out=windows")
    places = split_by_tune(same)
    return {split: _joined((pieces[i] for i in part), sequence_length) for split, part in places.items()}


def _transposed(piece: Piece, semitones: int) -> Piece:
    moved = {chord: chord and tuple(pitch + semitones for pitch in chord) for chord in set(piece.chords)}
    if not all(0 <= pitch < PITCHES for chord in moved.values() if chord for pitch in chord):
        raise ConfigError("transpose", None, f"{semitones:+} semitones exceed MIDI's pitches, 0 to {PITCHES - 1}")
    return Piece([moved[chord] for chord in piece.chords], piece.lengths)


def _name(chord: Chord) -> str:
    return BEGIN if chord is None else chord_name(chord)


def _windows(passages: Sequence[Piece], names: Sequence[str], lengths: Sequence[int], length: int) -> Windows:
    """Returns all windows of each passage; none spans two passages."""
    number = {name: i for i, name in enumerate(names)}
    numbers = {chord: number[_name(chord)] for passage in passages for chord in set(passage.chords)}
    notes = [numbers[chord] for passage in passages for chord in passage.chords]
    durations = np.searchsorted(lengths, [ticks for passage in passages for ticks in passage.lengths])
    firsts = np.cumsum([0, *(len(passage.chords) for passage in passages)])
    starts = [np.arange(a, b - length + 1) for a, b in pairwise(firsts)]
    tokens = {"note": np.array(notes, np.int32), "duration": durations.astype(np.int32)}
    return Windows(tokens, np.concatenate(starts), length)
