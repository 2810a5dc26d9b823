"""Music to learn to continue (book 07_02): what sounds from one change to the next, and how long.

A piece is a sequence of chords, each a note of a vocabulary ("G2", "A2.E3.C#4") and a duration of another. Whenever any
note starts or ends, a new chord begins, which music21 calls chordifying. Before each piece stands a run of START as
long as the context of a window, so that a model can begin a piece from nothing and tell where one is over.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.dataset import DataSet, digest_of
from gdl_jax.data.music import midi
from gdl_jax.data.music.chorales import corpus_notes, split_by_tune, tunes
from gdl_jax.data.music.notes import LENGTH, PITCH, PITCHES, START, TICKS, TRACK, as_notes, chord_name, chord_pitches
from gdl_jax.data.text.text_files import find
from gdl_jax.data.text.windows import Windows

DATASETS = {
    "melodies": "the sopranos of 363 of Bach's chorales, from music21's corpus (bundled)",
    "corpus_chorales": "the same with all four voices (bundled)",
    "cello": "35 movements of Bach's cello suites, cello/cs1-1pre.mid and others in data_dir",
    "midi:PATH": "a folder of MIDI files",
}
PATH_KINDS = ("midi",)  # of DATASETS, the kinds KIND:PATH
# The book's run read these in this order, which decides its validation split; the sixth suite's allemande is missing.
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

Chord = tuple[int, ...] | None  # pitches from low to high, none for a rest; None is START


class Piece(NamedTuple):
    """Chords, and how long each sounds in ticks (data/music/notes.py)."""

    chords: list[Chord]
    lengths: list[int]


@dataclass(frozen=True, kw_only=True)
class Music(DataSet):
    """Windows over pieces: rows are {"note", "duration"}, each int32 (sequence_length + continuation_length,).

    Attributes:
      notes: the names that "note" counts, sorted; "START" is the last in the book's.
      durations: the quarter notes that "duration" counts, in ascending order; 0 is that of START.
    """

    notes: tuple[str, ...]
    durations: tuple[Fraction, ...]

    @property
    def begin(self) -> dict[str, int]:
        """What comes before the first chord of a piece, and after the last one of the piece before it."""
        return {"note": self.notes.index(BEGIN), "duration": 0}


def chords_of(notes: np.ndarray, rests: bool) -> Piece:
    """Notes (N, 4) -> what sounds between any two changes.

    A note whose length was rounded to nothing sounds until the next change.

    Args:
      notes: as in data/music/notes.py.
      rests: silence is a chord too; else it is left out, and what comes after it follows at once.
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
    """The inverse of `chords_of`: tokens (T,) and (T,) -> notes (N, 4) of one track, one after the other."""
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
    """The music `name`.

    With hold_out="windows" and rests=False, `cello` is the book's: 387 notes, 18 durations, and of 27,971 windows the
    last 5,595 for validation. The vocabularies are those of all pieces, as in the book, so a held-out chord that
    training never shows costs what the model gives it.

    Args:
      name: one of DATASETS.
      data_dir: where sets that aren't bundled lie.
      sequence_length: chords of context, which are START before a piece's first one.
      continuation_length: chords of a window that come after these.
      transpose: training pieces are repeated in all keys from so many semitones to so many, both included: (0, 0) as
        they are, (-6, 5) in all twelve keys.
      hold_out: "pieces": a tenth each is for validation and testing, as `chorales.split_by_tune` draws it; of what is
        bundled, all pieces on one hymn go together, of a folder, all files with the same notes. "windows": the last
        fifth of all windows is for validation, and nothing for testing; it starts within a piece. Windows that would
        teach a chord which those predict are in neither.
      rests: as for `chords_of`.

    Raises:
      UserError: unknown name; a missing or empty folder; files that can't be read (of `midi:PATH`, all of them: others
        are left out and named); too few pieces; transpositions that leave MIDI's pitches.
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
    same = tunes(scores) if name in BUNDLED else [notes.tobytes() for notes in scores]  # go into one split
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
    """The first `count` training windows, shared out among the keys in which the pieces are repeated.

    Args:
      train: the training split of `load`.
      count: at most len(train).
      keys: how many transpositions it has.
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
    """The notes of each piece, and what a reader must know of them."""
    kind, _, path = name.partition(":")
    if kind in PATH_KINDS and path:
        root = Path(path).expanduser()
        folder = midi.read_folder(root, midi.list_files(root))
        return folder.pieces, folder.note
    if name == "cello":
        root = find(name, data_dir, CELLO_LAYOUTS).parent
        folder = midi.read_folder(root, [f"cs{movement}.mid" for movement in CELLO_MOVEMENTS])
        if folder.broken:  # of a set that is known, every piece counts
            raise UserError(f"{root}: {folder.note}")
        return folder.pieces, ""
    if name == "melodies":
        return [notes[notes[:, TRACK] == 0] for notes in corpus_notes()], ""
    if name == "corpus_chorales":
        return corpus_notes(), ""
    raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")


def _joined(pieces: Iterable[Piece], sequence_length: int) -> Piece:
    """One piece after the other, each after `sequence_length` times START."""
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
        end = train + sequence_length  # where the first held-out continuation begins
        return {"train": Piece(chords[:end], lengths[:end]), "validation": Piece(chords[train:], lengths[train:])}
    if len(set(same)) < 3:
        few = f"too few pieces ({len(set(same))}) to hold two out"
        raise ConfigError("dataset", name, f"{few}; use hold_out=windows")
    places = split_by_tune(same)
    return {split: _joined((pieces[i] for i in part), sequence_length) for split, part in places.items()}


def _transposed(piece: Piece, semitones: int) -> Piece:
    moved = {chord: chord and tuple(pitch + semitones for pitch in chord) for chord in set(piece.chords)}
    if not all(0 <= pitch < PITCHES for chord in moved.values() if chord for pitch in chord):
        raise ConfigError("transpose", None, f"{semitones:+} semitones lead beyond MIDI's pitches, 0 to {PITCHES - 1}")
    return Piece([moved[chord] for chord in piece.chords], piece.lengths)


def _name(chord: Chord) -> str:
    return BEGIN if chord is None else chord_name(chord)


def _windows(passages: Sequence[Piece], names: Sequence[str], lengths: Sequence[int], length: int) -> Windows:
    """All windows of each passage; none reaches from one into the next."""
    number = {name: i for i, name in enumerate(names)}
    numbers = {chord: number[_name(chord)] for passage in passages for chord in set(passage.chords)}
    notes = [numbers[chord] for passage in passages for chord in passage.chords]
    durations = np.searchsorted(lengths, [ticks for passage in passages for ticks in passage.lengths])
    firsts = np.cumsum([0, *(len(passage.chords) for passage in passages)])
    starts = [np.arange(a, b - length + 1) for a, b in pairwise(firsts)]
    tokens = {"note": np.array(notes, np.int32), "duration": durations.astype(np.int32)}
    return Windows(tokens, np.concatenate(starts), length)
