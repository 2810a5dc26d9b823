"""The representation of notes shared by all readers, writers, figures and sounds of music: int32 (N, 4).

The columns are start, length, pitch and track. Times are in ticks, TICKS a quarter note; pitches are MIDI note numbers
(60 is middle C); tracks count from 0.
"""

import re
from collections.abc import Iterable

import numpy as np

TICKS = 24  # a quarter note, as in MIDI's clock; expresses all note lengths in Bach's scores, sixteenths and triplets
PITCHES = 128
START, LENGTH, PITCH, TRACK = range(4)
NAMES = ("C", "C#", "D", "E-", "E", "F", "F#", "G", "G#", "A", "B-", "B")  # music21's; - is flat
REST = "rest"


def as_notes(rows: Iterable[tuple[int, int, int, int]]) -> np.ndarray:
    """Returns notes (N, 4), sorted by start, then track, then pitch."""
    notes = np.array(sorted(rows, key=lambda row: (row[START], row[TRACK], row[PITCH])), np.int32)
    return notes.reshape(-1, 4)


def in_quarters(notes: np.ndarray) -> np.ndarray:
    """Returns notes (N, 4) float64 with times in quarter notes, for figures and scores."""
    return notes / np.array([TICKS, TICKS, 1, 1])


def chord_name(pitches: Iterable[int]) -> str:
    """Returns the name of pitches from low to high, e.g. "A2.E3.C#4"; "rest" if there are none."""
    return ".".join(map(_pitch_name, pitches)) or REST


def _pitch_name(pitch: int) -> str:
    octave = pitch // 12 - 1
    return NAMES[pitch % 12] + (str(octave) if octave >= 0 else "~1")  # not -1: E-1 is E flat of octave 1


def chord_pitches(name: str) -> tuple[int, ...]:
    """Returns the pitches of a chord's name, the inverse of `chord_name`; () for a rest or START."""
    found = (re.fullmatch(r"([A-G][#-]?)(\d+|~1)", part) for part in name.split("."))
    return tuple(NAMES.index(match[1]) + 12 * (int(match[2].replace("~", "-")) + 1) for match in found if match)


def pitch_table(names: Iterable[str]) -> np.ndarray:
    """Returns the multi-hot pitches (V, 128) float32 of V chords, given by name."""
    chords = [chord_pitches(name) for name in names]
    table = np.zeros((len(chords), PITCHES), np.float32)
    for row, pitches in enumerate(chords):
        table[row, list(pitches)] = 1
    return table


def from_rolls(rolls: np.ndarray, steps_per_quarter: int = 4, restruck: int | None = None) -> np.ndarray:
    """Converts a piano roll to notes; a pitch that stays on over consecutive steps is one note.

    Args:
      rolls: (steps, pitches, tracks); positive where a note sounds. The first pitch is MIDI's 0.
      steps_per_quarter: a divisor of TICKS.
      restruck: period in steps at which held notes are struck again, as the book does at each beat; None: never.
    """
    on = np.asarray(rolls) > 0
    step = np.arange(len(on))
    before = np.concatenate([np.zeros_like(on[:1]), on[:-1]])
    struck = on & ~before
    if restruck:
        struck |= on & (step % restruck == 0)[:, None, None]
    ticks = TICKS // steps_per_quarter
    rows = []
    for track in range(on.shape[2]):
        for pitch in np.flatnonzero(on[:, :, track].any(axis=0)):
            sounds, starts = on[:, pitch, track], np.flatnonzero(struck[:, pitch, track])
            # A note ends when the next one starts, or when the pitch becomes silent.
            silent = np.append(np.flatnonzero(~sounds), len(sounds))
            ends = np.minimum(silent[np.searchsorted(silent, starts)], np.append(starts[1:], len(sounds)))
            times = zip((starts * ticks).tolist(), ((ends - starts) * ticks).tolist(), strict=True)
            rows += [(start, length, int(pitch), track) for start, length in times]
    return as_notes(rows)


def to_steps(notes: np.ndarray, tracks: int, steps_per_quarter: int = 4) -> np.ndarray:
    """Returns the pitch of each track at each step, -1 where it is silent: (steps, tracks) int8.

    A note sounds in the steps that begin while it does. If two notes of a track overlap, the later one sounds.
    """
    ticks = TICKS // steps_per_quarter
    first = -(-notes[:, START] // ticks)
    last = -(-(notes[:, START] + notes[:, LENGTH]) // ticks)
    steps = np.full((last.max(initial=0), tracks), -1, np.int8)
    for begin, end, pitch, track in zip(first, last, notes[:, PITCH], notes[:, TRACK], strict=True):
        steps[begin:end, track] = pitch
    return steps
