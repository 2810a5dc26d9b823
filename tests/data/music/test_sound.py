"""Tests of synthesised sound: pitches by its spectrum, times by its loudness."""

import numpy as np
import pytest
import soundfile

from gdl_jax.core.errors import UserError
from gdl_jax.data.music import sound
from gdl_jax.data.music.notes import TICKS, as_notes

RATE = sound.SAMPLE_RATE


def strongest(samples, count):
    """Returns the frequencies of the `count` highest peaks of a spectrum, in Hz, ascending."""
    size = 2**17
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    peaks = np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] > power[2:])) + 1
    return np.sort(peaks[np.argsort(power[peaks])[-count:]] * RATE / size)


@pytest.mark.parametrize("pitch", [36, 48, 69, 84, 108])
def test_notes_have_their_frequency(pitch):
    (heard,) = strongest(sound.pluck(pitch, 1.0), 1)
    assert heard == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.002)  # a semitone is 0.06


def test_written_notes_sound_at_their_times(tmp_path):
    rows = [(0, TICKS, 60, 0), (2 * TICKS, TICKS, 57, 0), (2 * TICKS, TICKS, 66, 1)]
    sound.write_sound(as_notes(rows), tmp_path / "a.mp3", quarters_per_minute=60)  # a quarter note is a second
    samples, rate = soundfile.read(tmp_path / "a.mp3")
    assert rate == RATE and samples.ndim == 1 and 3 <= len(samples) / RATE < 3.3
    (first,) = strongest(samples[: RATE * 9 // 10], 1)
    chord = strongest(samples[RATE * 21 // 10 : RATE * 29 // 10], 2)
    assert first == pytest.approx(261.63, rel=0.002)
    np.testing.assert_allclose(chord, [220.0, 369.99], rtol=0.002)
    loudness = [np.abs(samples[int(a * RATE) : int(b * RATE)]).max() for a, b in ((0, 0.9), (1.2, 1.9), (2.1, 2.9))]
    assert loudness[1] < 0.01 < 0.1 < min(loudness[0], loudness[2])


def test_harmonics_above_half_the_sample_rate_are_dropped():
    highest = sound.pluck(127, 1.0)  # 12,544 Hz: aliased, it would sound at 9,506 Hz
    assert np.abs(highest).max() < 1e-6


def test_faster_tempos_are_shorter():
    notes = as_notes([(i * TICKS, TICKS, 60, 0) for i in range(8)])
    slow, fast = (len(sound.synthesise(notes, tempo)) / RATE for tempo in (60, 120))
    assert slow == pytest.approx(8, abs=0.1) and fast == pytest.approx(4, abs=0.1)


def test_many_voices_do_not_clip_and_silence_is_silent():
    loud = sound.synthesise(as_notes([(0, TICKS, pitch, 0) for pitch in range(40, 80)]))
    assert np.abs(loud).max() == pytest.approx(sound.LOUDEST) and loud.dtype == np.float32
    assert not sound.synthesise(as_notes([])).any()


def test_notes_begin_and_end_without_a_click():
    wave = np.abs(sound.pluck(60, 0.5))
    millisecond = RATE // 1000
    loudest = wave.max()
    assert wave[:millisecond].max() < 0.2 * loudest and wave[-millisecond:].max() < 0.02 * loudest
    assert wave[RATE // 2 - 10 * millisecond : RATE // 2].max() > 0.1 * loudest  # still sounding before its end


def test_unwritable_files_are_named(tmp_path):
    with pytest.raises(UserError, match="absent"):
        sound.write_sound(as_notes([(0, TICKS, 60, 0)]), tmp_path / "absent" / "a.mp3")
