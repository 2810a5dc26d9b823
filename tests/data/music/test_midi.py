"""Tests of reading MIDI files from bytes composed by hand, and of reading files that were written."""

import hashlib
from fractions import Fraction

import mido
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.music import events as music
from gdl_jax.data.music import midi
from gdl_jax.data.music.notes import TICKS, as_notes, chord_name
from tests.data.music.midi_bytes import BROKEN, GOOD, midi_bytes, off, on, riff


@pytest.fixture
def read(tmp_path):
    def read(content):
        (tmp_path / "a.mid").write_bytes(content)
        return midi.read_notes(tmp_path / "a.mid").tolist()

    return read


def test_starts_lengths_pitches_and_tracks(read):
    conductor = [(0, b"\xff\x51\x03\x07\xa1\x20")]
    cello = [(0, on(43)), (480, off(43)), (0, on(50)), (240, on(50, velocity=0)), (960, on(62)), (480, off(62))]
    other = [(0, on(60, 3)), (0, on(64, 5)), (1920, off(60, 3)), (0, off(64, 5))]
    assert read(midi_bytes(conductor, cello, other)) == [
        [0, 24, 43, 0],
        [0, 96, 60, 1],
        [0, 96, 64, 2],
        [24, 12, 50, 0],
        [84, 24, 62, 0],
    ]


def test_channels_of_a_type_0_file_become_tracks(read):
    events = [(0, on(60)), (0, on(48, 1)), (96, off(60)), (0, off(48, 1))]
    assert read(midi_bytes(events, division=96, kind=0)) == [[0, 24, 60, 0], [0, 24, 48, 1]]


def test_drums_are_ignored(read):
    events = [(0, on(38, 9)), (0, on(60)), (480, off(38, 9)), (0, off(60))]
    assert read(midi_bytes(events)) == [[0, 24, 60, 0]]


ON, OFF, SILENT_ON = on(60), off(60), on(60, velocity=0)
OVERLAPS = {  # events of a track of 480 ticks a quarter note, and the starts and lengths of its notes
    "apart": ([(0, ON), (480, OFF), (0, ON), (480, OFF)], [(0, 24), (24, 24)]),
    "note-ons of velocity 0": ([(0, ON), (480, SILENT_ON), (0, ON), (480, SILENT_ON)], [(0, 24), (24, 24)]),
    "legato by a tick": (
        [(0, ON), (479, ON), (1, OFF), (479, ON), (1, OFF), (479, OFF)],
        [(0, 24), (24, 24), (48, 24)],
    ),
    "on before off": ([(0, ON), (480, ON), (0, OFF), (480, ON), (0, OFF), (480, OFF)], [(0, 24), (24, 24), (48, 24)]),
    "overlapping": ([(0, ON), (480, ON), (480, OFF), (480, OFF)], [(0, 48), (24, 48)]),
    "struck twice at once": ([(0, ON), (0, ON), (480, OFF), (480, OFF)], [(0, 24), (0, 48)]),
    "struck twice, ended once": ([(0, ON), (0, ON), (480, OFF)], [(0, 24)]),
    "struck again, ended once": (
        [(0, ON), (480, ON), (480, OFF), (480, ON), (480, OFF)],
        [(0, 24), (24, 24), (72, 24)],
    ),
    "ended twice": ([(0, ON), (480, OFF), (0, OFF), (480, ON), (480, OFF)], [(0, 24), (48, 24)]),
    "ended before": ([(0, OFF), (0, ON), (480, OFF), (480, ON), (480, OFF)], [(0, 24), (48, 24)]),
    "no length": ([(0, ON), (0, OFF), (480, ON), (480, OFF)], [(0, 0), (24, 24)]),
    "ended by the track": ([(0, ON), (480, OFF), (0, ON), (960, on(64, 9))], [(0, 24), (24, 48)]),
    "struck again, ended by the track": ([(0, ON), (480, ON), (480, on(64, 9))], [(0, 24), (24, 24)]),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_note_offs_end_the_note_that_began_first(read, case):
    events, expected = OVERLAPS[case]
    notes = read(midi_bytes(events))
    assert [(start, length) for start, length, _, _ in notes] == expected
    assert {(pitch, track) for _, _, pitch, track in notes} == {(60, 0)}


def test_channels_and_tracks_are_paired_separately(read):
    first = [(0, on(60, 0)), (240, on(60, 1)), (240, off(60, 1)), (480, off(60, 0))]
    second = [(0, on(60, 0)), (1440, off(60, 0))]
    assert read(midi_bytes(first, second)) == [[0, 48, 60, 1], [0, 72, 60, 2], [12, 12, 60, 0]]


def test_unisons_are_merged_on_demand(tmp_path):
    """As in the gigue of the sixth cello suite."""
    (tmp_path / "a.mid").write_bytes(midi_bytes([(0, on(57)), (0, on(57)), (480, off(57)), (240, off(57))]))
    assert midi.read_notes(tmp_path / "a.mid").tolist() == [[0, 24, 57, 0], [0, 36, 57, 0]]
    assert midi.read_notes(tmp_path / "a.mid", merge_unisons=True).tolist() == [[0, 24, 57, 0]]


def test_files_of_every_type(read):
    events = [(0, on(60)), (480, off(60))]
    assert all(read(midi_bytes(events, kind=kind)) == [[0, 24, 60, 0]] for kind in (0, 1, 2))
    assert read(midi_bytes([(0, b"\xff\x51\x03\x07\xa1\x20")], events, kind=2)) == [[0, 24, 60, 0]]


def test_wrappers_foreign_chunks_and_running_status(read):
    assert read(riff(GOOD)) == [[0, 24, 60, 0]]
    foreign = b"XFIH\0\0\0\4MTrk"
    assert read(GOOD[:14] + foreign + GOOD[14:] + foreign) == [[0, 24, 60, 0]]
    longer = GOOD[:4] + (8).to_bytes(4) + GOOD[8:14] + b"\0\0" + GOOD[14:]
    assert read(longer) == [[0, 24, 60, 0]]
    assert read(midi_bytes([(0, on(60)), (480, (60, 0)), (0, (62, 90)), (480, (62, 0))])) == [
        [0, 24, 60, 0],
        [24, 24, 62, 0],
    ]


def nearest(quarters):
    """Returns the nearest multiple of a quarter or a third of a quarter note; the earlier of two."""
    multiples = []
    for parts in (4, 3):
        below = quarters * parts // 1 / Fraction(parts)
        middle = below + Fraction(1, 2 * parts)
        multiples.append(below if quarters <= middle else below + Fraction(1, parts))
    return min(multiples, key=lambda multiple: (abs(multiple - quarters), multiple))


@pytest.mark.parametrize("per_quarter", [480, 96, 120, 1024, 7])
def test_times_are_rounded_to_quarters_and_thirds(per_quarter):
    times = np.arange(per_quarter * 3)
    expected = [nearest(Fraction(int(time), per_quarter)) * TICKS for time in times]
    np.testing.assert_array_equal(midi.rounded(times, per_quarter), np.array(expected, float))


def test_notes_survive_writing_and_reading(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for track in range(17):  # more than there are channels
        for start in range(0, 240, 24):
            rows.append((start, int(rng.choice([6, 8, 12, 24])), int(rng.integers(30, 90)), track))
    notes = as_notes(rows)
    path = tmp_path / "written.mid"
    midi.write_notes(notes, path, quarters_per_minute=66, program=42, tracks=["cello", "viola"])
    np.testing.assert_array_equal(midi.read_notes(path), notes)
    file = mido.MidiFile(path)
    messages = [message for track in file.tracks for message in track]
    assert [mido.tempo2bpm(m.tempo) for m in messages if m.type == "set_tempo"] == [pytest.approx(66, abs=0.01)]
    assert {m.program for m in messages if m.type == "program_change"} == {42}
    assert [m.name for m in messages if m.type == "track_name"] == ["cello", "viola"]
    assert midi.PERCUSSION not in {m.channel for m in messages if m.type == "note_on"}
    assert file.length == pytest.approx(notes[:, :2].sum(1).max() / TICKS * 60 / 66, rel=1e-3)


def test_repeated_and_zero_length_notes_are_audible(tmp_path):
    notes = as_notes([(0, 24, 60, 0), (24, 24, 60, 0), (48, 0, 62, 0)])
    midi.write_notes(notes, tmp_path / "a.mid")
    messages = [m for m in mido.MidiFile(tmp_path / "a.mid") if m.type == "note_on"]
    assert [(m.note, m.velocity > 0) for m in messages] == [
        *((60, True), (60, False), (60, True), (60, False)),
        *((62, True), (62, False)),
    ]
    assert messages[-1].time > 0


@pytest.mark.parametrize("damage", BROKEN)
def test_broken_files_are_refused_in_one_line(tmp_path, damage):
    (tmp_path / "a.mid").write_bytes(BROKEN[damage])
    with pytest.raises(UserError, match=r"a\.mid: .*[a-z]") as raised:
        midi.read_notes(tmp_path / "a.mid")
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read_or_written(tmp_path):
    for path in (tmp_path / "missing.mid", tmp_path, tmp_path / ("a" * 5000)):
        with pytest.raises(UserError, match=f"{path}: "):
            midi.read_notes(path)
    with pytest.raises(UserError, match=r"missing/a\.mid: "):
        midi.write_notes(as_notes([(0, 24, 60, 0)]), tmp_path / "missing" / "a.mid")


# Digest of all chords of the 35 movements as music21 5.7.2, which the book used, reads them: name and quarter notes, a
# line each. Later versions split a file into bars and voices, and give other chords.
MUSIC21_DIGEST = "e29878a4f1d0131fae9e3937249adbd9"


@pytest.mark.slow
def test_the_cello_suites_have_the_chords_of_music21(data_dir):
    digest = hashlib.blake2b(digest_size=16)
    for movement in music.CELLO_MOVEMENTS:
        notes = midi.read_notes(data_dir / "cello" / f"cs{movement}.mid", merge_unisons=True)
        for chord, length in zip(*music.chords_of(notes, rests=False), strict=True):
            digest.update(f"{chord_name(chord)} {Fraction(length, TICKS)}\n".encode())
    assert digest.hexdigest() == MUSIC21_DIGEST
