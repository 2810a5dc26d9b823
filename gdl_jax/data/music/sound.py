"""Synthesis of notes as plucked strings, and MP3 files.

Notes are int32 (N, 4) as in gdl_jax/data/music/notes.py.
"""

from pathlib import Path

import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.core.extras import extra
from gdl_jax.data.music.notes import TICKS

SAMPLE_RATE = 22_050  # samples a second, one channel
TUNING = 440.0  # Hz of pitch 69
HARMONICS = 8
DECAY = 2.2  # a second, of the fundamental; harmonic h decays h times as fast
ATTACK, RELEASE = 0.006, 0.08  # seconds
LOUDEST = 0.9  # peak of a sound


def frequency(pitch: int) -> float:
    """Returns the frequency of a MIDI pitch in equal temperament, in Hz."""
    return TUNING * 2 ** ((pitch - 69) / 12)


def pluck(pitch: int, seconds: float) -> np.ndarray:
    """Returns a note of this length and its release: float64 (samples,), with a peak of about 1.

    The harmonics of a plucked string, the h-th with amplitude 1 / h, up to half the sample rate.
    """
    time = np.arange(round((seconds + RELEASE) * SAMPLE_RATE)) / SAMPLE_RATE
    base = frequency(pitch)
    wave = np.zeros_like(time)
    for h in range(1, min(HARMONICS, int(SAMPLE_RATE / 2 / base)) + 1):
        wave += np.sin(2 * np.pi * base * h * time) * np.exp(-DECAY * h * time) / h
    ramp_up, ramp_down = time / ATTACK, (time[-1] - time) / RELEASE
    return wave * np.minimum(1.0, np.minimum(ramp_up, ramp_down))


def synthesise(notes: np.ndarray, quarters_per_minute: float = 120.0) -> np.ndarray:
    """Returns the sound of all notes: float32 (samples,) in [-0.9, 0.9], SAMPLE_RATE a second."""
    seconds = 60.0 / quarters_per_minute / TICKS  # of a tick
    end = (notes[:, 0] + notes[:, 1]).max(initial=0) * seconds
    sound = np.zeros(round((end + RELEASE) * SAMPLE_RATE) + 2)
    played: dict[tuple[int, int], np.ndarray] = {}
    for start, length, pitch, _ in notes.tolist():
        if (pitch, length) not in played:
            played[pitch, length] = pluck(pitch, length * seconds)
        first = round(start * seconds * SAMPLE_RATE)
        sound[first : first + len(played[pitch, length])] += played[pitch, length]
    return (LOUDEST / max(np.abs(sound).max(), 1e-9) * sound).astype(np.float32)


def write_sound(notes: np.ndarray, path: Path, quarters_per_minute: float = 120.0) -> None:
    """Writes the sound of notes as an MP3, which all browsers play.

    Raises:
      UserError: the file cannot be written.
    """
    with extra("music"):
        import soundfile

    try:
        soundfile.write(path, synthesise(notes, quarters_per_minute), SAMPLE_RATE, format="MP3")
    except (OSError, soundfile.LibsndfileError) as error:
        raise UserError(f"{path}: cannot be written: {error}") from error
