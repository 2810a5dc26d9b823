"""MIDI files: their bytes written by hand, and read again after being written."""

import hashlib
from fractions import Fraction

import mido
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.data.music import events as music
from gdl_jax.data.music import midi
from gdl_jax.data.music.notes import TICKS, as_notes, chord_name


def variable(number):
    """A number as MIDI files write times: seven bits a byte, the highest bit set in all but the last."""
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


def midi_bytes(*tracks, division=480, kind=1):
    """A MIDI file of tracks, each a list of (ticks since the event before, bytes of the event)."""
    header = b"MThd" + (6).to_bytes(4) + kind.to_bytes(2) + len(tracks).to_bytes(2) + division.to_bytes(2)
    chunks = [header]
    for events in tracks:
        body = b"".join(variable(delta) + bytes(event) for delta, event in [*events, (0, b"\xff\x2f\x00")])
        chunks.append(b"MTrk" + len(body).to_bytes(4) + body)
    return b"".join(chunks)


def on(pitch, channel=0, velocity=100):
    return 0x90 + channel, pitch, velocity


def off(pitch, channel=0):
    return 0x80 + channel, pitch, 64


@pytest.fixture
def read(tmp_path):
    def read(content):
        (tmp_path / "a.mid").write_bytes(content)
        return midi.read_notes(tmp_path / "a.mid").tolist()

    return read


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_notes_start_last_and_belong_to_tracks(read):
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


def test_channels_of_a_file_of_one_track_are_tracks(read):
    events = [(0, on(60)), (0, on(48, 1)), (96, off(60)), (0, off(48, 1))]
    assert read(midi_bytes(events, division=96, kind=0)) == [[0, 24, 60, 0], [0, 24, 48, 1]]


def test_drums_are_left_out(read):
    events = [(0, on(38, 9)), (0, on(60)), (480, off(38, 9)), (0, off(60))]
    assert read(midi_bytes(events)) == [[0, 24, 60, 0]]


def test_a_pitch_sounds_once_at_a_time(read):
    twice = [(0, on(57)), (0, on(57)), (480, off(57)), (240, off(57))]  # as in the gigue of the sixth suite
    assert read(midi_bytes(twice)) == [[0, 24, 57, 0]]
    again = [(0, on(57)), (480, on(57)), (480, off(57)), (0, off(57))]
    assert read(midi_bytes(again)) == [[0, 24, 57, 0], [24, 24, 57, 0]]
    unended = [(0, on(60)), (0, on(64)), (480, off(64))]
    assert read(midi_bytes(unended)) == [[0, 24, 64, 0]]


def nearest(quarters):
    """The nearest multiple of a quarter or a third of a quarter note; in the middle, the earlier."""
    multiples = []
    for parts in (4, 3):
        below = quarters * parts // 1 / Fraction(parts)
        middle = below + Fraction(1, 2 * parts)
        multiples.append(below if quarters <= middle else below + Fraction(1, parts))
    return min(multiples, key=lambda multiple: (abs(multiple - quarters), multiple))


@pytest.mark.parametrize("per_quarter", [480, 96, 120, 1024, 7])
def test_times_are_rounded_to_quarters_and_thirds_of_a_quarter_note(per_quarter):
    times = np.arange(per_quarter * 3)
    expected = [nearest(Fraction(int(time), per_quarter)) * TICKS for time in times]
    np.testing.assert_array_equal(midi.rounded(times, per_quarter), np.array(expected, float))


def test_what_is_written_is_read_again(tmp_path):
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


def test_a_repeated_and_a_rounded_note_are_written_to_be_heard(tmp_path):
    notes = as_notes([(0, 24, 60, 0), (24, 24, 60, 0), (48, 0, 62, 0)])
    midi.write_notes(notes, tmp_path / "a.mid")
    messages = [m for m in mido.MidiFile(tmp_path / "a.mid") if m.type == "note_on"]
    assert [(m.note, m.velocity > 0) for m in messages] == [
        *((60, True), (60, False), (60, True), (60, False)),
        *((62, True), (62, False)),
    ]
    assert messages[-1].time > 0


GOOD = midi_bytes([(0, on(60)), (480, off(60))])
BROKEN = {
    "empty": b"",
    "a text": b"Not a MIDI file at all, but a longer text.",
    "cut": GOOD[:-9],
    "no notes": midi_bytes([]),
    "frames": midi_bytes([(0, on(60)), (480, off(60))], division=0xE250),
    "one that never ends": midi_bytes([(0, on(60))]),
    "one that lasts too long": midi_bytes([(0, on(60)), (2**28 - 1, off(60))], division=1),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_file_is_a_user_error_of_one_line(tmp_path, damage):
    (tmp_path / "a.mid").write_bytes(BROKEN[damage])
    with pytest.raises(UserError, match=r"a\.mid") as raised:
        midi.read_notes(tmp_path / "a.mid")
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=r"missing\.mid: "):
        midi.read_notes(tmp_path / "missing.mid")


def write_folder(root, **files):
    for name, content in files.items():
        path = root / f"{name.replace('__', '/')}.mid"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)


def test_broken_files_among_good_ones_are_named_and_left_out(tmp_path, capsys):
    write_folder(tmp_path, a=GOOD, b=BROKEN["a text"], sub__c=GOOD, z=BROKEN["cut"])
    (tmp_path / "readme.txt").write_text("no music")
    (tmp_path / ".hidden.mid").write_bytes(GOOD)
    names = midi.list_files(tmp_path)
    assert names == ["a.mid", "b.mid", "sub/c.mid", "z.mid"]
    for _ in range(2):  # from the files, then from the cache
        folder = midi.read_folder(tmp_path, names)
        assert folder.names == ["a.mid", "sub/c.mid"] and len(folder.pieces) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and said.startswith(f"{tmp_path}: 2 of 4 ")
        assert "b.mid: " in said and "z.mid: " in said and "a.mid" not in said and "c.mid" not in said


def test_of_many_broken_files_some_are_named(tmp_path):
    write_folder(tmp_path, good=GOOD, **{f"b{i}": b"" for i in range(9)})
    note = midi.read_folder(tmp_path, midi.list_files(tmp_path)).note
    assert note.startswith("9 of 10 ") and "6" in note.rpartition("b2.mid")[2]  # so many are not named
    assert all(f"b{i}.mid: " in note for i in range(3)) and "b3.mid" not in note


def test_files_are_read_once_until_they_change(tmp_path, monkeypatch):
    write_folder(tmp_path, a=GOOD, b=GOOD)
    names = midi.list_files(tmp_path)
    read, reads = midi.read_notes, []
    monkeypatch.setattr(midi, "read_notes", lambda path: reads.append(path.name) or read(path))
    first = midi.read_folder(tmp_path, names)
    again = midi.read_folder(tmp_path, names)
    assert reads == names and first.names == again.names
    for one, other in zip(first.pieces, again.pieces, strict=True):
        np.testing.assert_array_equal(one, other)
    write_folder(tmp_path, b=midi_bytes([(0, on(72)), (480, off(72))]))
    changed = midi.read_folder(tmp_path, names)
    assert changed.pieces[1].tolist() == [[0, 24, 72, 0]]


def test_folders_without_music_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="/absent: "):
        midi.list_files(tmp_path / "absent")
    with pytest.raises(UserError, match=rf"{tmp_path}: .*\.mid, \.midi"):
        midi.list_files(tmp_path)
    write_folder(tmp_path, a=b"", b=b"")
    with pytest.raises(UserError, match=rf"{tmp_path}: .*2 .*a\.mid: "):
        midi.read_folder(tmp_path, midi.list_files(tmp_path))


# Of all chords of the 35 movements, as music21 5.7.2 finds them: name and quarter notes, a line each. The book used it;
# later versions split what they read into bars and voices, and find other chords.
MUSIC21_DIGEST = "e29878a4f1d0131fae9e3937249adbd9"


@pytest.mark.slow
def test_the_cello_suites_are_those_that_music21_heard_for_the_book(data_dir):
    digest = hashlib.blake2b(digest_size=16)
    for movement in music.CELLO_MOVEMENTS:
        notes = midi.read_notes(data_dir / "cello" / f"cs{movement}.mid")
        for chord, length in zip(*music.chords_of(notes, rests=False), strict=True):
            digest.update(f"{chord_name(chord)} {Fraction(length, TICKS)}\n".encode())
    assert digest.hexdigest() == MUSIC21_DIGEST
