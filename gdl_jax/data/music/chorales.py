"""Bach's chorales as bars of four voices (book 07_04).

A bar is 16 steps, a sixteenth note each, from a chorale's very beginning: as in the book, upbeats count as part of the
first bar, so that bars are a place to cut, not the composer's.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import ArraySource, DataSet, digest_of
from gdl_jax.data.music import musicxml
from gdl_jax.data.music.notes import LENGTH, PITCH, START, TRACK, to_steps
from gdl_jax.data.text.text_files import find

VERSION = 1  # of what is read from music21's corpus: another version is another cache file
DATASETS = {
    "corpus_chorales": "363 four-part chorales from music21's corpus (bundled)",
    "chorales": "the book's 229, and 76 and 77 held out, chorales/Jsb16thSeparated.json in data_dir",
}
LAYOUTS = ("chorales/Jsb16thSeparated.json", "Jsb16thSeparated.json")
SPLITS = {"train": "train", "validation": "valid", "test": "test"}  # ours -> the file's
VOICES = ("soprano", "alto", "tenor", "bass")
BEAT, BAR = 4, 16  # steps
PITCHES = 84  # MIDI's 0 to 83; the chorales' are 36 to 81
SILENT = -1
INCIPIT, RUN = 6, 12  # intervals by which a hymn is told: a soprano's first, and so many in a row anywhere in it


@dataclass(frozen=True, kw_only=True)
class Chorales(DataSet):
    """The first bars of chorales: rows are {"pitches": int8 (bars * 16, 4)}, -1 where a voice is silent.

    Attributes:
      pieces: split -> the whole chorales that its rows are the beginnings of, each int8 (steps, 4).
    """

    pieces: Mapping[str, Sequence[np.ndarray]]


def to_roll(rows: Mapping[str, Any]) -> dict[str, Any]:
    """The batch: {"roll": float32 (B, bars, 16, 84, 4)}, 1 where a voice sounds a pitch and -1 elsewhere."""
    pitches = jnp.asarray(rows["pitches"])
    pitches = pitches.reshape(len(pitches), -1, BAR, len(VOICES))  # (B, bars, 16, 4)
    return {"roll": 2 * jax.nn.one_hot(pitches, PITCHES, axis=-2) - 1}  # a silent voice is -1 throughout


def first_bars(piece: np.ndarray, bars: int) -> np.ndarray | None:
    """The first bars (bars * 16, 4) after leading beats in which a voice is silent; None where there are too few."""
    beats = piece[: len(piece) // BEAT * BEAT].reshape(-1, BEAT, piece.shape[1])
    whole = np.flatnonzero((beats != SILENT).all(axis=(1, 2)))
    first = BEAT * int(whole[0]) if len(whole) else len(piece)
    cut = piece[first : first + bars * BAR]
    return cut if len(cut) == bars * BAR else None


def load(name: str, *, data_dir: str | None = None, bars: int = 2) -> Chorales:
    """The chorales `name`, those that are too short for so many bars left out.

    With two bars, all 229 training chorales of `chorales` are there: the book's (229, 2, 16, 84, 4). Of the bundled
    ones a tenth each is for validation and testing, as `split_by_tune` draws it.

    Args:
      name: one of DATASETS.
      data_dir: where the set lies that isn't bundled.
      bars: of a row.

    Raises:
      UserError: unknown name, a missing or damaged file, bars that no chorale of a split has.
    """
    if bars < 1:
        raise ConfigError("bars", bars, "must be at least 1")
    if name == "chorales":
        pieces = read_json(find(name, data_dir, LAYOUTS))
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
            raise ConfigError("bars", bars, f"no chorale of the {split} split of {name} is as long")
        sources[split] = ArraySource({"pitches": np.stack(rows)})
        if len(rows) < len(cuts):
            short[split] = len(cuts) - len(rows)
    note = ", ".join(f"{count} of {split}" for split, count in short.items())
    note = f"too short for {bars} bars and left out: {note}" if note else ""
    digest = digest_of(piece.tobytes() for members in pieces.values() for piece in members)
    return Chorales(name, **sources, transform=to_roll, note=note, digest=digest, pieces=pieces)


def read_json(path: Path) -> dict[str, list[np.ndarray]]:
    """The splits of Jsb16thSeparated.json: chorales (steps, 4) int8.

    Raises:
      UserError: the file can't be read, or holds something else.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        splits = {ours: [np.array(piece) for piece in stored[its]] for ours, its in SPLITS.items()}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: needs lists of pitches train, valid and test ({error})") from error
    for split, pieces in splits.items():
        for number, piece in enumerate(pieces):
            if piece.ndim != 2 or piece.shape[1] != len(VOICES) or piece.dtype.kind != "i":
                raise UserError(f"{path}: {SPLITS[split]} chorale {number} is no list of steps of four whole pitches")
            if piece.min() < SILENT or piece.max() >= PITCHES:
                raise UserError(f"{path}: {SPLITS[split]} chorale {number} has pitches beyond -1 to {PITCHES - 1}")
    return {split: [piece.astype(np.int8) for piece in pieces] for split, pieces in splits.items()}


def tunes(scores: Sequence[np.ndarray]) -> list[int]:
    """A number for the tune in track 0 of each score; scores with one hymn in it, in whatever key, have the same.

    Two melodies are one tune where they begin with the same INCIPIT intervals or have RUN intervals in a row in common,
    from note to note or from beat to beat; and so is what is one tune with either of them. Bach's ornaments, upbeats
    and bars of other lengths leave some of these as they are. That also joins a few hymns that only resemble each
    other.
    """
    first_with: dict[tuple, int] = {}
    tune = list(range(len(scores)))  # a score of the same tune, at last the first one

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
    """Which of several pieces are in which split: places in ascending order.

    A tenth each, drawn with a fixed seed, is for validation and testing. Pieces on one tune go together, which may make
    it a few more: Bach set many hymns several times, in several keys, and a tune that was learnt is not held out.

    Args:
      tunes: one for each piece; most are of few pieces, so that there are some left to train on.
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
    """The notes (N, 4) of music21's chorales in four voices, in the order of their names; duplicates are left out.

    Raises:
      ConfigError: music21 is not installed.
    """
    spec = find_spec("music21")  # only the files are wanted, without the slow import
    if spec is None or spec.origin is None:
        raise ConfigError("dataset", "corpus_chorales", "needs the package music21, which holds them")
    folder = Path(spec.origin).parent / "corpus" / "bach"
    stored = cached_arrays(f"corpus-chorales-{VERSION}.npz", lambda: _read_corpus(folder))
    return np.split(stored["notes"], np.cumsum(stored["counts"])[:-1])


def _read_corpus(folder: Path) -> dict[str, np.ndarray]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".mxl", ".xml"))
    pieces = {}
    for path in progress_bar(paths, desc="reading chorales, once", unit="scores"):
        notes = musicxml.read_notes(path)
        if _is_four_voices(notes):
            pieces.setdefault(to_steps(notes, len(VOICES)).tobytes(), notes)
    return {"notes": np.concatenate(list(pieces.values())), "counts": np.array(list(map(len, pieces.values())))}


def _is_four_voices(notes: np.ndarray) -> bool:
    """Whether there are four tracks, none of which ever has two notes at once."""
    voices = [notes[notes[:, TRACK] == track] for track in range(len(VOICES))]
    overlaps = [(voice[:-1, START] + voice[:-1, LENGTH] > voice[1:, START]).any() for voice in voices]
    return set(notes[:, TRACK]) == set(range(len(VOICES))) and not any(overlaps)
