"""Bach's chorales as bars of four voices (book 07_04).

A bar is 16 steps of a sixteenth note, counted from the beginning of a chorale. As in the book, an upbeat is part of the
first bar, so these bars need not be the composer's.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import locate
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import CONTENTS, ArraySource, DataSet, digest_of
from gdl_jax.data.music import musicxml
from gdl_jax.data.music.notes import LENGTH, PITCH, START, TRACK, to_steps
from gdl_jax.data.text.text_files import find, read_json, reason

VERSION = 1  # of the notes read from music21's corpus: part of the cache file's name
DATASETS = {
    "corpus_chorales": "363 four-part chorales from music21's corpus (bundled)",
    "chorales": "the book's 229, and 76 and 77 held-out ones, chorales/Jsb16thSeparated.json in data_dir",
}
LAYOUTS = ("chorales/Jsb16thSeparated.json", "Jsb16thSeparated.json")
SPLITS = {"train": "train", "validation": "valid", "test": "test"}  # ours -> the file's
VOICES = ("soprano", "alto", "tenor", "bass")
BEAT, BAR = 4, 16  # steps
PITCHES = 84  # MIDI's 0 to 83; the chorales' are 36 to 81
SILENT = -1
INCIPIT, RUN = 6, 12  # intervals of a soprano that identify a hymn: its first six, or any twelve in a row


@dataclass(frozen=True, kw_only=True)
class Chorales(DataSet):
    """First bars of chorales: rows are {"pitches": int8 (bars * 16, 4)}, -1 where a voice is silent.

    Attributes:
      pieces: split -> its whole chorales, also those too short for a row, each int8 (steps, 4).
    """

    pieces: Mapping[str, Sequence[np.ndarray]] = field(metadata=CONTENTS)


def to_roll(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a batch {"roll": float32 (B, bars, 16, 84, 4)}: 1 where a voice sounds a pitch, -1 elsewhere."""
    pitches = jnp.asarray(rows["pitches"])
    pitches = pitches.reshape(len(pitches), -1, BAR, len(VOICES))  # (B, bars, 16, 4)
    return {"roll": 2 * jax.nn.one_hot(pitches, PITCHES, axis=-2) - 1}  # a silent voice is -1 throughout


def first_bars(piece: np.ndarray, bars: int) -> np.ndarray | None:
    """Returns bars (bars * 16, 4) from the first beat on in which all voices sound; None if there are too few."""
    beats = piece[: len(piece) // BEAT * BEAT].reshape(-1, BEAT, piece.shape[1])
    whole = np.flatnonzero((beats != SILENT).all(axis=(1, 2)))
    first = BEAT * int(whole[0]) if len(whole) else len(piece)
    cut = piece[first : first + bars * BAR]
    return cut if len(cut) == bars * BAR else None


def load(name: str, *, data_dir: str | None = None, bars: int = 2) -> Chorales:
    """Returns the chorales `name` that have enough bars.

    With two bars, `chorales` has all 229 training chorales: the book's (229, 2, 16, 84, 4). Of the bundled chorales, a
    tenth each is for validation and testing, as `split_by_tune` draws it.

    Args:
      name: one of DATASETS.
      data_dir: directory of the set that is not bundled.
      bars: number of bars in a row.

    Raises:
      UserError: unknown name; a missing or damaged file; no chorale of a split has that many bars.
    """
    if bars < 1:
        raise ConfigError("bars", bars, "must be at least 1")
    if name == "chorales":
        pieces = read_splits(find(name, data_dir, LAYOUTS))
    elif name == "corpus_chorales":
        scores = corpus_notes()
        places = split_by_tune(tunes(scores))
        pieces = {split: [to_steps(scores[i], len(VOICES)) for i in places[split]] for split in SPLITS}
    else:
        raise ConfigError("dataset", name, f"unknown; choose one of {', '.join(DATASETS)}")
    sources, short = {}, {}
    for split, members in pieces.items():
        cuts = [first_bars(piece, bars) for piece in members]
        rows = [cut for cut in cuts if cut is not None]
        if not rows:
            raise ConfigError("bars", bars, f"no chorale of the {split} split of {name} has as many")
        sources[split] = ArraySource({"pitches": np.stack(rows)})
        if len(rows) < len(cuts):
            short[split] = len(cuts) - len(rows)
    note = ", ".join(f"{count} of {split}" for split, count in short.items())
    note = f"chorales with fewer than {bars} bars, left out: {note}" if note else ""
    digest = digest_of(piece.tobytes() for members in pieces.values() for piece in members)
    return Chorales(name, **sources, transform=to_roll, note=note, digest=digest, pieces=pieces)


def read_splits(path: Path) -> dict[str, list[np.ndarray]]:
    """Reads the splits of Jsb16thSeparated.json: chorales (steps, 4) int8.

    Raises:
      UserError: the file cannot be read, or holds something else.
    """
    stored = read_json(path)
    try:
        splits = {ours: [np.array(piece) for piece in stored[its]] for ours, its in SPLITS.items()}
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"{path}: needs train, valid and test: lists of lists of four pitches") from error
    for split, pieces in splits.items():
        for number, piece in enumerate(pieces):
            if piece.ndim != 2 or piece.shape[1] != len(VOICES) or piece.dtype.kind != "i":
                raise UserError(f"{path}: {SPLITS[split]} chorale {number} is not a list of steps of four integers")
            if piece.min() < SILENT or piece.max() >= PITCHES:
                raise UserError(f"{path}: {SPLITS[split]} chorale {number} has pitches outside -1 to {PITCHES - 1}")
    return {split: [piece.astype(np.int8) for piece in pieces] for split, pieces in splits.items()}


def tunes(scores: Sequence[np.ndarray]) -> list[int]:
    """Returns an integer for the tune in track 0 of each score; settings of the same hymn in any key have equal ones.

    Two melodies share a tune if their first INCIPIT intervals are equal, or any RUN consecutive ones, taken from note
    to note or from beat to beat; the relation is transitive. Ornaments, upbeats and other note lengths leave some of
    these intervals unchanged. A few hymns that merely resemble each other are joined too.
    """
    first_with: dict[tuple, int] = {}
    tune = list(range(len(scores)))  # union-find: an earlier score of the same tune; the first one points to itself

    def first(place):
        while tune[place] != place:
            place = tune[place]
        return place

    for place, notes in enumerate(scores):
        melody = notes[notes[:, TRACK] == 0]
        by_note = tuple(np.diff(melody[:, PITCH]).tolist())
        by_beat = tuple(np.diff(to_steps(melody, 1)[::BEAT, 0].astype(int)).tolist())
        traits = {("incipit", by_note[:INCIPIT])}
        for kind, intervals in (("note", by_note), ("beat", by_beat)):
            traits |= {(kind, intervals[i : i + RUN]) for i in range(len(intervals) - RUN + 1)}
        for trait in traits:
            earlier, later = sorted((first(first_with.setdefault(trait, place)), first(place)))
            tune[later] = earlier
    return list(map(first, range(len(scores))))


def split_by_tune(tunes: Sequence[Hashable]) -> dict[str, np.ndarray]:
    """Returns {split: indices of its pieces, ascending}.

    A tenth each, drawn with a fixed seed, is for validation and testing. Pieces with the same tune are in one split,
    which may then be slightly larger: Bach set many hymns several times, and a tune in the training split is not held
    out.

    Args:
      tunes: one for each piece. Few pieces should share a tune, so that some remain for training.
    """
    members: dict[Hashable, list[int]] = {}
    for place, tune in enumerate(tunes):
        members.setdefault(tune, []).append(place)
    groups = list(members.values())
    drawn = [groups[i] for i in np.random.default_rng(0).permutation(len(groups))]
    ends, tenth = np.cumsum(list(map(len, drawn))), max(1, len(tunes) // 10)
    validation = ends[np.searchsorted(ends, tenth)]
    test = ends[np.searchsorted(ends, validation + tenth)]
    parts = zip(("validation", "test", "train"), np.split(np.concatenate(drawn), [validation, test]), strict=True)
    return {split: np.sort(places) for split, places in parts}


def corpus_notes() -> list[np.ndarray]:
    """Returns the notes (N, 4) of each of music21's four-voice chorales, sorted by name and without duplicates.

    Raises:
      UserError: music21 is not installed.
    """
    folder = locate("music21", "music") / "corpus" / "bach"  # the files alone: importing the package is slow
    stored = cached_arrays(f"corpus-chorales-{VERSION}.npz", lambda: _read_corpus(folder))
    return np.split(stored["notes"], np.cumsum(stored["counts"])[:-1])


def _read_corpus(folder: Path) -> dict[str, np.ndarray]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".mxl", ".xml"))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {reason(error)}") from error
    pieces = {}
    for path in progress_bar(paths, desc="reading chorales, once", unit="scores"):
        notes = musicxml.read_notes(path)
        if _is_four_voices(notes):
            pieces.setdefault(to_steps(notes, len(VOICES)).tobytes(), notes)
    return {"notes": np.concatenate(list(pieces.values())), "counts": np.array(list(map(len, pieces.values())))}


def _is_four_voices(notes: np.ndarray) -> bool:
    """True if there are four tracks and no track has two notes at once."""
    voices = [notes[notes[:, TRACK] == track] for track in range(len(VOICES))]
    overlaps = [(voice[:-1, START] + voice[:-1, LENGTH] > voice[1:, START]).any() for voice in voices]
    return set(notes[:, TRACK]) == set(range(len(VOICES))) and not any(overlaps)
