"""MIDI files to notes, and notes to MIDI files.

Times read from a file are rounded as by music21, which the book uses: starts and lengths each to the nearest quarter or
third of a quarter note, and to the earlier of two equally near ones.
"""

import io
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.core.extras import extra
from gdl_jax.data.music.notes import LENGTH, START, TICKS, TRACK, as_notes
from gdl_jax.data.text.text_files import reason

GRIDS = (TICKS // 4, TICKS // 3)  # ticks that times are rounded to multiples of
PERCUSSION = 9  # MIDI's channel 10, counted from 0, whose pitches are drums
VELOCITY = 90
PATTERNS = 2  # type of files whose tracks are separate pieces
LONGEST = 2**40  # ticks of a file


class _Change(NamedTuple):
    """A note-on (`on`) or note-off of one pitch at `time`; `order` counts the track's messages."""

    time: int
    on: bool
    order: int


class _Note(NamedTuple):
    """A note of a track in the file's ticks; `order` is that of the message that ends it."""

    order: int
    start: int
    end: int
    channel: int
    pitch: int


def load_mido() -> ModuleType:
    """Returns the package mido.

    Raises:
      UserError: it is not installed.
    """
    with extra("music"):
        import mido
    return mido


def rounded(times: np.ndarray, per_quarter: int) -> np.ndarray:
    """Returns times (N,) of `per_quarter` ticks a quarter note in TICKS a quarter note, rounded as music21 does."""
    exact = np.asarray(times, np.int64) * TICKS  # in units of 1 / (per_quarter * TICKS) of a quarter note
    candidates = []
    for grid in GRIDS:
        unit = grid * per_quarter
        candidates.append(-((unit - 2 * exact) // (2 * unit)) * grid)  # ceil(exact / unit - 1 / 2)
    candidates = np.sort(candidates, axis=0)  # the earlier of two that are equally near comes first
    errors = np.abs(candidates * per_quarter - exact)
    return np.take_along_axis(candidates, errors.argmin(axis=0)[None], axis=0)[0]


def read_notes(path: Path, merge_unisons: bool = False) -> np.ndarray:
    """Reads the notes (N, 4) of a MIDI file of type 0 or 1, or of type 2 with one track of notes; RIFF files too.

    Each channel of each track in the file becomes a track; percussion (channel 10) is ignored. Of several notes of one
    pitch that sound together in a track, a note-off ends the one that began first. If note-offs are missing, a note
    ends when its pitch is struck again, or at the end of its track.

    Args:
      path: of the file.
      merge_unisons: notes of one pitch that are struck at the same time in a track are one, which the first note-off
        ends; so did music21 at the book's time.

    Raises:
      UserError: the file cannot be read, is damaged, counts time in frames (SMPTE), or has no notes.
    """
    file = open_file(path)
    tracks = [notes for messages in file.tracks if (notes := _notes_of_track(messages, merge_unisons))]
    if not tracks:
        raise UserError(f"{path}: no notes in it (percussion is ignored)")
    if file.type == PATTERNS and len(tracks) > 1:
        raise UserError(f"{path}: holds {len(tracks)} separate pieces (type 2); save each as a file")
    return _rounded_notes(tracks, file.ticks_per_beat, path)


def open_file(path: Path) -> Any:
    """Returns mido's MidiFile of a file that counts time in beats.

    Raises:
      UserError: the file cannot be read, is damaged, or counts time in frames (SMPTE).
    """
    mido = load_mido()
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from error
    try:
        file = mido.MidiFile(file=io.BytesIO(_chunks(contents)), clip=True)
    except EOFError as error:
        raise UserError(f"{path}: not a readable MIDI file (it ends too early)") from error
    except Exception as error:  # damaged files make mido raise OSError, IndexError, KeyError, ...
        raise UserError(f"{path}: not a readable MIDI file ({first_line(error)})") from error
    if file.ticks_per_beat <= 0:
        unit = "counts time in frames (SMPTE), not in beats" if file.ticks_per_beat else "has no ticks in a beat"
        raise UserError(f"{path}: {unit}")
    return file


def _rounded_notes(tracks: Sequence[Sequence[_Note]], per_quarter: int, path: Path) -> np.ndarray:
    """Returns the notes (N, 4) of all tracks, with times in TICKS a quarter note."""
    numbers: dict[tuple[int, int], int] = {}  # (track, channel) in the file -> track
    found = []
    for place, track in enumerate(tracks):
        for note in track:
            number = numbers.setdefault((place, note.channel), len(numbers))
            found.append((note.start, note.end - note.start, note.pitch, number))
    if max(start + length for start, length, _, _ in found) > LONGEST:
        raise UserError(f"{path}: lasts too long")
    notes = np.array(found)
    for column in (START, LENGTH):
        notes[:, column] = rounded(notes[:, column], per_quarter)
    if notes.max() > np.iinfo(np.int32).max:
        raise UserError(f"{path}: lasts too long")
    return as_notes(map(tuple, notes.tolist()))


def _chunks(contents: bytes) -> bytes:
    """Returns the header and the tracks of a MIDI file, taken out of its RIFF wrapper if it has one.

    Raises:
      ValueError: there is no header.
    """
    if contents[:4] == b"RIFF" and contents[8:12] == b"RMID":
        place = 12
        while contents[place : place + 4] not in (b"data", b""):
            size = int.from_bytes(contents[place + 4 : place + 8], "little")
            place += 8 + size + size % 2
        contents = contents[place + 8 :]
    if not contents.startswith(b"MThd"):
        raise ValueError("no MIDI header" if contents else "an empty file")
    kept, place = [], 0
    while place < len(contents):
        end = place + 8 + int.from_bytes(contents[place + 4 : place + 8])
        if contents[place : place + 4] in (b"MThd", b"MTrk"):  # makers of instruments have chunks of their own
            kept.append(contents[place:end])
        place = end
    return b"".join(kept)


def _notes_of_track(messages: Iterable[Any], merge_unisons: bool) -> list[_Note]:
    """Returns the notes of a track's messages, percussion excluded, in the order in which they end."""
    changes: dict[tuple[int, int], list[_Change]] = defaultdict(list)
    now = order = 0
    for order, message in enumerate(messages):
        now += message.time
        if message.type in ("note_on", "note_off") and message.channel != PERCUSSION:
            on = message.type == "note_on" and message.velocity > 0
            changes[message.channel, message.note].append(_Change(now, on, order))
    end = _Change(now, False, order)
    return sorted(_Note(*note, *key) for key, of_key in changes.items() for note in _pair(of_key, end, merge_unisons))


def _pair(changes: Sequence[_Change], end: _Change, merge_unisons: bool) -> list[tuple[int, int, int]]:
    """Returns the notes of one pitch and channel: (order of the message that ends it, start, end).

    Args:
      changes: of the pitch.
      end: of the track.
      merge_unisons: as for `read_notes`.
    """
    for restrike_ends in (False, True):  # True if there are fewer note-offs than notes
        notes, sounding = [], deque()
        for change in changes:
            if merge_unisons and change.on and change.time in sounding:
                continue
            if sounding and (restrike_ends or not change.on):
                start = sounding.popleft()
                if not change.on or start < change.time:  # else struck twice at once: one note
                    notes.append((change.order, start, change.time))
            if change.on:
                sounding.append(change.time)
        if not sounding:
            break
    return notes + [(end.order, start, end.time) for start in sounding if start < end.time]


def write_notes(
    notes: np.ndarray, path: Path, quarters_per_minute: float = 120.0, program: int = 0, tracks: Sequence[str] = ()
) -> None:
    """Writes notes (N, 4) as a MIDI file of type 1, with a track for each track that has notes.

    Args:
      notes: as in data/music/notes.py.
      path: of the file.
      quarters_per_minute: the tempo.
      program: the instrument of all tracks, General MIDI's number from 0 (a cello is 42).
      tracks: the names of tracks 0, 1, ...; () for none.

    Raises:
      UserError: the file cannot be written.
    """
    mido = load_mido()
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    conductor = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(quarters_per_minute))])
    file.tracks.append(conductor)
    channels = [channel for channel in range(16) if channel != PERCUSSION]
    for track in np.unique(notes[:, TRACK]):
        channel = channels[track % len(channels)]
        messages = mido.MidiTrack()
        if track < len(tracks):
            messages.append(mido.MetaMessage("track_name", name=tracks[track]))
        messages.append(mido.Message("program_change", channel=channel, program=program))
        events = []
        for start, length, pitch, _ in notes[notes[:, TRACK] == track].tolist():
            end = start + max(length, 1)  # rounding may have made the length 0
            events += [(start, VELOCITY, pitch), (end, 0, pitch)]
        now = 0
        for time, velocity, pitch in sorted(events):  # at equal times, note-offs (velocity 0) first
            pressed = {"channel": channel, "note": pitch, "velocity": velocity}
            messages.append(mido.Message("note_on", **pressed, time=time - now))
            now = time
        file.tracks.append(messages)
    try:
        file.save(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {reason(error)}") from error
