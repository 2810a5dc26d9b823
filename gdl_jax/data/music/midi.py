"""MIDI files to notes, and notes to MIDI files.

What is read is rounded as music21 rounds it, which the book uses: starts and lengths each to the nearest quarter or
third of a quarter note, in the middle downwards.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import mido
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.images import folder
from gdl_jax.data.music.notes import LENGTH, START, TICKS, TRACK, as_notes

VERSION = 1  # of what is read from a file: another version is another cache file
SUFFIXES = (".mid", ".midi")
GRIDS = (TICKS // 4, TICKS // 3)  # ticks that times are rounded to multiples of
PERCUSSION = 9  # the channel whose pitches are drums
VELOCITY = 90
SHOWN = 3  # unreadable files that a message names


class Folder(NamedTuple):
    """MIDI files that were read.

    Attributes:
      names: of the files.
      pieces: the notes (N, 4) of each.
      broken: what was wrong with the others.
    """

    names: list[str]
    pieces: list[np.ndarray]
    broken: list[str]

    @property
    def note(self) -> str:
        """One line about the files that are left out; empty where there are none."""
        if not self.broken:
            return ""
        more = f" and {len(self.broken) - SHOWN} more" if len(self.broken) > SHOWN else ""
        total = len(self.names) + len(self.broken)
        return f"{len(self.broken)} of {total} MIDI files left out: {'; '.join(self.broken[:SHOWN])}{more}"


def rounded(times: np.ndarray, per_quarter: int) -> np.ndarray:
    """Times in a file's own ticks, (N,) and `per_quarter` of them a quarter note -> ticks of a 24th of it, (N,)."""
    exact = np.asarray(times, np.int64) * TICKS  # in units of 1 / (per_quarter * TICKS) of a quarter note
    candidates = []
    for grid in GRIDS:
        unit = grid * per_quarter
        candidates.append(-((unit - 2 * exact) // (2 * unit)) * grid)  # ceil(exact / unit - 1 / 2)
    candidates = np.sort(candidates, axis=0)  # of two that are as near, the earlier
    errors = np.abs(candidates * per_quarter - exact)
    return np.take_along_axis(candidates, errors.argmin(axis=0)[None], axis=0)[0]


def read_notes(path: Path) -> np.ndarray:
    """The notes (N, 4) of a MIDI file, percussion left out; each channel of each of its tracks is a track.

    A note that is struck again while it sounds ends there; struck twice at once, it is one note. One that the file
    doesn't end is none.

    Raises:
      UserError: the file can't be read, is damaged, or has no notes.
    """
    try:
        file = mido.MidiFile(path, clip=True)
    except Exception as error:  # mido lets whatever a damaged file leads to pass: EOFError, IndexError, KeyError, ...
        said = ": ".join(filter(None, (type(error).__name__, str(error))))
        reason = getattr(error, "strerror", None) or f"not a readable MIDI file ({said})"
        raise UserError(f"{path}: {reason}") from error
    if file.ticks_per_beat <= 0:
        raise UserError(f"{path}: counts time in frames, not in beats")
    found, tracks = [], {}
    for number, messages in enumerate(file.tracks):
        now, sounding = 0, {}
        for message in messages:
            now += message.time
            if message.type not in ("note_on", "note_off") or message.channel == PERCUSSION:
                continue
            voice = (number, message.channel)
            struck = message.type == "note_on" and message.velocity > 0
            start = sounding.get((voice, message.note))
            if struck and start == now:
                continue
            if start is not None:
                track = tracks.setdefault(voice, len(tracks))
                found.append((start, now - start, message.note, track))
                del sounding[voice, message.note]
            if struck:
                sounding[voice, message.note] = now
    if not found:
        raise UserError(f"{path}: no notes in it")
    notes = np.array(found)
    for column in (START, LENGTH):
        notes[:, column] = rounded(notes[:, column], file.ticks_per_beat)
    if notes.max() > np.iinfo(np.int32).max:
        raise UserError(f"{path}: lasts too long")
    return as_notes(map(tuple, notes.tolist()))


def list_files(root: Path) -> list[str]:
    """The MIDI files under `root`; see `folder.list_files`."""
    return folder.list_files(root, "MIDI files", SUFFIXES)


def _read_all(root: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """For the cache: all notes in one array, how many each file has, and what is wrong with files that have none."""
    pieces, reasons = [], []
    for name in names:
        try:
            pieces.append(read_notes(root / name))
            reasons.append("")
        except UserError as error:
            pieces.append(as_notes(()))
            reasons.append(str(error).removeprefix(f"{root / name}: "))
    return {"notes": np.concatenate(pieces), "counts": np.array(list(map(len, pieces))), "reasons": np.array(reasons)}


def read_folder(root: Path, names: Sequence[str]) -> Folder:
    """The files `names` of a folder, read once and cached; those that can't be read are named on standard error.

    Raises:
      UserError: none of them can be read.
    """
    digest = hashlib.blake2b(str(VERSION).encode(), digest_size=8)
    for name in names:
        digest.update(f"\0{name}\0".encode(errors="surrogateescape"))
        try:
            digest.update((root / name).read_bytes())
        except OSError:
            digest.update(b"unreadable")
    stored = cached_arrays(f"midi-{digest.hexdigest()}.npz", lambda: _read_all(root, names))
    pieces = np.split(stored["notes"], np.cumsum(stored["counts"])[:-1])
    read = [(name, piece) for name, piece in zip(names, pieces, strict=True) if len(piece)]
    broken = [f"{name}: {reason}" for name, reason in zip(names, stored["reasons"].tolist(), strict=True) if reason]
    if not read:
        raise UserError(f"{root}: none of {len(names)} MIDI files can be read; {broken[0]}")
    contents = Folder([name for name, _ in read], [piece for _, piece in read], broken)
    if broken:
        sys.stderr.write(f"{root}: {contents.note}\n")
    return contents


def write_notes(
    notes: np.ndarray, path: Path, quarters_per_minute: float = 120.0, program: int = 0, tracks: Sequence[str] = ()
) -> None:
    """Writes notes (N, 4) as a MIDI file of type 1, a track of it for each track that there are notes of.

    Args:
      notes: as in data/music/notes.py.
      path: of the file.
      quarters_per_minute: the tempo.
      program: the instrument of all tracks, General MIDI's number from 0 (a cello is 42).
      tracks: the names of tracks 0, 1, ...; or none.
    """
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
            end = start + max(length, 1)  # a rounded note may have no length
            events += [(start, VELOCITY, pitch), (end, 0, pitch)]
        now = 0
        for time, velocity, pitch in sorted(events):  # at the same time, ends (velocity 0) before starts
            pressed = {"channel": channel, "note": pitch, "velocity": velocity}
            messages.append(mido.Message("note_on", **pressed, time=time - now))
            now = time
        file.tracks.append(messages)
    file.save(path)
