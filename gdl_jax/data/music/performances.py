"""Performed music: notes with volumes, of instruments, timed in fractions of a second.

The representation of MuseNet (Payne 2019): int32 (N, 5) with the columns start, length, pitch, volume and instrument.
Times are in units of 1 / 108 of a second: 48 a quarter note at 135 a minute. Volumes are MIDI's velocities, 1 to 127;
instruments are numbers in INSTRUMENTS.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.music import midi
from gdl_jax.data.music.notes import TICKS, TRACK, as_notes
from gdl_jax.data.text.text_files import reason

UNITS = 108  # a second
TEMPO = 135.0  # quarter notes a minute of scores, and of written files
UNITS_PER_QUARTER = 48
VOLUME = 80  # of scores
START, LENGTH, PITCH, VOLUMES, INSTRUMENT = range(5)
INSTRUMENTS = ("piano", "violin", "cello", "bass", "guitar", "flute", "clarinet", "trumpet", "harp", "drums")
PROGRAMS = (0, 40, 42, 32, 24, 73, 71, 56, 46, 0)  # General MIDI's numbers from 0; drums have a channel instead
DRUMS = INSTRUMENTS.index("drums")
DRUM_LENGTH = 12  # units; MIDI files say nothing of when a drum ends
# The instrument that stands for each of General MIDI's sixteen families of eight programs.
FAMILIES = (
    *("piano", "piano", "piano", "guitar", "bass", "violin", "violin", "trumpet", "clarinet", "flute"),
    *("piano", "piano", "piano", "guitar", "drums", "piano"),
)
EXACT = {42: "cello", 43: "bass", 46: "harp", 47: "drums"}  # programs unlike the rest of their families


def as_performance(rows: Iterable[Sequence[int]]) -> np.ndarray:
    """Returns performed notes (N, 5), sorted by start, then instrument, then pitch."""
    ordered = sorted(rows, key=lambda row: (row[START], row[INSTRUMENT], row[PITCH]))
    return np.array(ordered, np.int32).reshape(-1, 5)


def from_score(notes: np.ndarray, instruments: Sequence[str]) -> np.ndarray:
    """Returns a score (N, 4), as in data/music/notes.py, at TEMPO and with one volume.

    Args:
      notes: the score.
      instruments: of tracks 0, 1, ...; the last also plays the tracks after it.
    """
    factor = UNITS_PER_QUARTER // TICKS
    numbers = np.array([INSTRUMENTS.index(name) for name in instruments])
    players = numbers[np.minimum(notes[:, TRACK], len(numbers) - 1)]
    start, length = notes[:, 0] * factor, np.maximum(notes[:, 1] * factor, 1)
    return as_performance(np.stack([start, length, notes[:, 2], np.full(len(notes), VOLUME), players], axis=1).tolist())


def to_score(performance: np.ndarray, grid: int = 1) -> np.ndarray:
    """Returns performed notes as a score (N, 4) with a track for each instrument; drums are left out.

    Args:
      performance: (N, 5).
      grid: ticks that times are rounded to multiples of; notes last at least as long.
    """
    ticks = UNITS_PER_QUARTER // TICKS * grid
    kept = performance[performance[:, INSTRUMENT] != DRUMS]
    starts = np.round(kept[:, START] / ticks).astype(int)
    ends = np.round((kept[:, START] + kept[:, LENGTH]) / ticks).astype(int)
    lengths = np.maximum(ends - starts, 1)
    return as_notes(
        map(tuple, np.stack([starts * grid, lengths * grid, kept[:, PITCH], kept[:, INSTRUMENT]], 1).tolist())
    )


def instrument_of(program: int) -> int:
    """Returns the instrument that stands for a General MIDI program, a number from 0."""
    return INSTRUMENTS.index(EXACT.get(program, FAMILIES[program // 8]))


def read_midi(path: Path) -> np.ndarray:
    """Reads the performed notes (N, 5) of a MIDI file, with its tempo changes, programs and drums.

    A note that is struck again ends; one without an end lasts to the end of the file.

    Raises:
      UserError: as `midi.open_file`; or there are no notes, or several pieces (type 2).
    """
    file = midi.open_file(path)
    if file.type == midi.PATTERNS:
        raise UserError(f"{path}: holds separate pieces (type 2); save each as a file of type 1")
    programs, sounding, rows, now = [0] * 16, {}, [], 0.0

    def end(key: Any) -> None:
        start, volume, player = sounding.pop(key)
        length = DRUM_LENGTH if player == DRUMS else max(round(now * UNITS) - start, 1)
        rows.append((start, length, key[1], volume, player))

    for message in file:  # of all tracks in order; times are seconds
        now += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            if key in sounding:
                end(key)
            if message.type == "note_on" and message.velocity > 0:
                player = DRUMS if message.channel == midi.PERCUSSION else instrument_of(programs[message.channel])
                sounding[key] = (round(now * UNITS), message.velocity, player)
    for key in list(sounding):
        end(key)
    if not rows:
        raise UserError(f"{path}: no notes in it")
    if now * UNITS > midi.LONGEST >> 10:
        raise UserError(f"{path}: lasts too long")
    return as_performance(rows)


def write_midi(performance: np.ndarray, path: Path) -> None:
    """Writes performed notes (N, 5) as a MIDI file of type 1, with a track for each instrument.

    Raises:
      UserError: the file cannot be written.
    """
    mido = midi.load_mido()
    file = mido.MidiFile(type=1, ticks_per_beat=UNITS_PER_QUARTER)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO))]))
    for player in np.unique(performance[:, INSTRUMENT]).tolist():
        channel = midi.PERCUSSION if player == DRUMS else player
        messages = [mido.MetaMessage("track_name", name=INSTRUMENTS[player])]
        messages.append(mido.Message("program_change", channel=channel, program=PROGRAMS[player]))
        events = []
        for start, length, pitch, volume, _ in performance[performance[:, INSTRUMENT] == player].tolist():
            events += [(start, volume, pitch), (start + length, 0, pitch)]
        now = 0
        for time, volume, pitch in sorted(events):  # at equal times, ends (volume 0) first
            messages.append(mido.Message("note_on", channel=channel, note=pitch, velocity=volume, time=time - now))
            now = time
        file.tracks.append(mido.MidiTrack(messages))
    try:
        file.save(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason(error)}") from error
