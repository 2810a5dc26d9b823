"""Files of music: MIDI of all pieces; sound, piano roll and engraved score of a few.

Notes are int32 (N, 4) as in gdl_jax/data/music/notes.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdl_jax.data.music import midi
from gdl_jax.data.music.notes import LENGTH, PITCH, START, TICKS, as_notes, in_quarters
from gdl_jax.data.music.sound import write_sound
from gdl_jax.plots.figure import words
from gdl_jax.plots.music import piano_rolls

SHOWN = 4  # pieces rendered together
BAR = 4 * TICKS
LOWEST_ENGRAVED = 12  # music21 misreads pitches below C0 as notes above middle C


def concatenate_pieces(members: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the notes of several pieces as one piece; each starts at a bar, after at least one bar of rest."""
    now, rows = 0, []
    for notes in members:
        moved = notes + np.array([now, 0, 0, 0], notes.dtype)
        rows += list(map(tuple, moved.tolist()))
        end = (moved[:, START] + moved[:, LENGTH]).max(initial=now)
        now = (-(-end // BAR) + 1) * BAR
    return as_notes(rows)


def write_music(
    members: Sequence[np.ndarray],
    folder: Path,
    name: str,
    *,
    quarters_per_minute: float,
    program: int = 0,
    tracks: Sequence[str] = (),
) -> list[Path]:
    """Writes NAME_1.mid, ... of each piece, and NAME.mp3, NAME_roll.png and NAME_score.png of the first few.

    Args:
      members: notes (N, 4) of each piece; if the first few have none, only MIDI files are written.
      folder: must exist.
      name: of the files.
      quarters_per_minute: the tempo.
      program: instrument of the MIDI files, a General MIDI number from 0.
      tracks: names of tracks 0, 1, ...; or none.

    Returns:
      The files.
    """
    paths = [folder / f"{name}_{i + 1}.mid" for i in range(len(members))]
    for notes, path in zip(members, paths, strict=True):
        midi.write_notes(notes, path, quarters_per_minute, program, tracks)
    return paths + render_music(members, folder, name, quarters_per_minute=quarters_per_minute, tracks=tracks)


def render_music(
    members: Sequence[np.ndarray], folder: Path, name: str, *, quarters_per_minute: float, tracks: Sequence[str] = ()
) -> list[Path]:
    """Writes NAME.mp3, NAME_roll.png and NAME_score.png of the first few pieces; returns the files.

    Arguments as for `write_music`; nothing is written if the first few have no notes.
    """
    from gdl_jax.plots.score import engrave  # takes a second to import

    shown, paths = members[:SHOWN], []
    together = concatenate_pieces(shown)
    if not len(together):
        return []
    sound, roll, score = (folder / f"{name}{end}" for end in (".mp3", "_roll.png", "_score.png"))
    write_sound(together, sound, quarters_per_minute)
    piano_rolls({f"{words(name)} {i + 1}": in_quarters(notes) for i, notes in enumerate(shown)}, roll, tracks)
    paths += [sound, roll]
    if together[:, PITCH].min() >= LOWEST_ENGRAVED:
        engrave(in_quarters(together), score, tracks)
        paths.append(score)
    return paths
