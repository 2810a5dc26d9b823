"""Engraved scores: music21 turns notes into notation, verovio engraves it, resvg renders it.

A separate file because music21 takes a second to import.
"""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image

from gdl_jax.core.extras import extra

with extra("music"):
    import resvg_py
    import verovio
    from music21 import chord, key, meter, note, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

BAR = 4  # quarter notes
FINEST = 24  # times are rounded to this fraction of a quarter note
MOST_ACCIDENTALS = 6  # of a key signature; seven sharps become five flats
DEFAULT_NAMES = ("C", "C#", "D", "E-", "E", "F", "F#", "G", "G#", "A", "B-", "B")  # of pitch classes outside the key
FONT = "DejaVu Sans"
LAYOUT = {
    "scale": 50,  # percent
    "pageWidth": 2600,  # maximum; the picture has half as many pixels
    "pageHeight": 60_000,  # all systems on one page
    "adjustPageWidth": True,
    "adjustPageHeight": True,
    "header": "none",
    "footer": "none",
}


def engrave(notes: np.ndarray, path: Path, tracks: Sequence[str] = ()) -> None:
    """Draws a score with one staff per track, in 4/4 time and in the key that music21 detects.

    Args:
      notes: (N, 4): start and length in quarter notes, MIDI pitch, track; at least one. All notes of a chord in a track
        have the same start and length.
      path: of the PNG.
      tracks: names of tracks 0, 1, ..., or none.
    """
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(LAYOUT)
    toolkit.loadData(to_musicxml(notes, tracks))
    font = {"skip_system_fonts": True, "font_files": [findfont(FONT)], "serif_family": FONT, "font_family": FONT}
    png = resvg_py.svg_to_bytes(svg_string=toolkit.renderToSVG(1), background="white", **font)
    with Image.open(io.BytesIO(bytes(png))) as page:
        page.convert("L").save(path)


def to_musicxml(notes: np.ndarray, tracks: Sequence[str] = ()) -> str:
    """Returns the score that `engrave` draws, as MusicXML for other programs."""
    end = Fraction(int(-(-(notes[:, 0] + notes[:, 1]).max() // BAR)) * BAR)
    names = {track: tracks[track] if track < len(tracks) else "" for track in np.unique(notes[:, 3]).astype(int)}
    score = stream.Score([_part(notes[notes[:, 3] == track], name, end) for track, name in names.items()])
    signature = score.analyze("key")
    if abs(signature.sharps) > MOST_ACCIDENTALS:
        signature = key.Key(signature.tonic.getEnharmonic().name, signature.mode)
    _spell(score, signature)
    for part in score.parts:
        part.insert(0, key.KeySignature(signature.sharps))
    return GeneralObjectExporter(score).parse().decode()


def _exact(quarters: float) -> Fraction:
    return Fraction(round(quarters * FINEST), FINEST)


def _part(notes: np.ndarray, name: str, end: Fraction) -> stream.Part:
    chords: dict[tuple[Fraction, Fraction], set[int]] = {}
    for start, length, pitch, _ in notes.tolist():
        chords.setdefault((_exact(start), _exact(length)), set()).add(int(pitch))
    part = stream.Part()
    part.partName = name
    part.append(meter.TimeSignature("4/4"))
    for (start, length), pitches in chords.items():
        sounding = chord.Chord(sorted(pitches)) if len(pitches) > 1 else note.Note(min(pitches))
        sounding.duration.quarterLength = length
        part.insert(start, sounding)
    part.makeRests(refStreamOrTimeRange=[0, end], fillGaps=True, inPlace=True)
    return part


def _spell(score: stream.Score, signature: key.Key) -> None:
    """Spells pitches as the key does: in a key with flats, G flat instead of F sharp."""
    names = dict(enumerate(DEFAULT_NAMES)) | {pitch.pitchClass: pitch.name for pitch in signature.pitches}
    for pitch in score.pitches:
        number = pitch.midi
        pitch.name = names[number % 12]
        pitch.octave += (number - pitch.midi) // 12  # C flat 4 has the pitch of B3
