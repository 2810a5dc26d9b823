"""Tests of performed music: what MIDI files say of time, volume and instruments, and back."""

import mido
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.music.performances import (
    DRUM_LENGTH,
    DRUMS,
    INSTRUMENTS,
    UNITS,
    as_performance,
    from_score,
    instrument_of,
    read_midi,
    to_score,
    write_midi,
)

VIOLIN = INSTRUMENTS.index("violin")


def saved(path, *tracks, ticks=480):
    """Writes a MIDI file of tracks of mido's messages; returns its path."""
    file = mido.MidiFile(type=1, ticks_per_beat=ticks)
    file.tracks += [mido.MidiTrack(messages) for messages in tracks]
    file.save(path)
    return path


def on(note, time=0, velocity=64, channel=0):
    return mido.Message("note_on", note=note, velocity=velocity, time=time, channel=channel)


def off(note, time=0, channel=0):
    return mido.Message("note_off", note=note, time=time, channel=channel)


def tempo(seconds_per_quarter, time=0):
    return mido.MetaMessage("set_tempo", tempo=round(seconds_per_quarter * 1e6), time=time)


def test_times_are_seconds_by_the_tempo_map_of_another_track(tmp_path):
    conductor = [tempo(0.5), tempo(1.0, time=480)]  # a second quarter note lasts a second
    path = saved(tmp_path / "a.mid", conductor, [on(60), off(60, 480), on(64), off(64, 480)])
    np.testing.assert_array_equal(read_midi(path), [[0, UNITS // 2, 60, 64, 0], [UNITS // 2, UNITS, 64, 64, 0]])


def test_instruments_and_drums_come_from_programs_and_the_channel(tmp_path):
    strings = [mido.Message("program_change", program=40, channel=3), on(70, channel=3), off(70, 480, channel=3)]
    drums = [on(35, channel=9, velocity=100), off(35, 480, channel=9)]
    found = read_midi(saved(tmp_path / "a.mid", [tempo(0.5)], strings, drums))
    assert found.tolist() == [[0, 54, 70, 64, VIOLIN], [0, DRUM_LENGTH, 35, 100, DRUMS]]


def test_programs_stand_for_their_families():
    names = {0: "piano", 24: "guitar", 42: "cello", 46: "harp", 43: "bass", 56: "trumpet", 71: "clarinet", 73: "flute"}
    assert {program: INSTRUMENTS[instrument_of(program)] for program in names} == names


def test_a_note_struck_again_ends_and_one_without_an_end_lasts(tmp_path):
    path = saved(tmp_path / "a.mid", [tempo(0.5)], [on(60), on(60, 480), off(62, 480), on(64), off(64, 480)])
    np.testing.assert_array_equal(read_midi(path)[:, :3], [[0, 54, 60], [54, 108, 60], [108, 54, 64]])


def test_written_files_are_read_back(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(10 * n, 7, 40 + n, int(rng.integers(1, 128)), n % len(INSTRUMENTS)) for n in range(40)]
    rows = [(start, DRUM_LENGTH if player == DRUMS else length, *rest, player) for start, length, *rest, player in rows]
    write_midi(as_performance(rows), tmp_path / "a.mid")
    np.testing.assert_array_equal(read_midi(tmp_path / "a.mid"), as_performance(rows))


def test_scores_are_played_and_written_down_again():
    score = np.array([[0, 24, 60, 0], [0, 24, 48, 1], [24, 8, 62, 0]], np.int32)
    played = from_score(score, ("violin", "cello"))
    assert played[:, 0].tolist() == [0, 0, 48] and set(played[:, 4]) == {VIOLIN, INSTRUMENTS.index("cello")}
    written = to_score(played)
    np.testing.assert_array_equal(written[:, :3], score[[0, 1, 2], :3])
    assert to_score(played, grid=24)[:, 1].tolist() == [24, 24, 24]


@pytest.mark.parametrize("contents", [b"", b"MThd", b"nothing"])
def test_damaged_files_are_named(tmp_path, contents):
    (tmp_path / "bad.mid").write_bytes(contents)
    with pytest.raises(UserError, match=r"bad\.mid"):
        read_midi(tmp_path / "bad.mid")


def test_a_file_without_notes_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a\.mid"):
        read_midi(saved(tmp_path / "a.mid", [tempo(0.5)]))
