"""Tests of chords, durations, windows and splits of music, and of the book's counts."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.music import events as music
from gdl_jax.data.music import midi
from gdl_jax.data.music.chorales import split_by_tune
from gdl_jax.data.music.notes import TICKS, as_notes, chord_name

Q = TICKS


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))


def named(piece):
    return [(chord_name(chord), length / Q) for chord, length in zip(*piece, strict=True)]


def test_chords_last_until_any_note_changes():
    notes = as_notes([(Q, 2 * Q, 43, 0), (2 * Q, 2 * Q, 50, 1), (5 * Q, Q, 43, 0), (5 * Q, Q, 43, 1)])
    with_rests = [("rest", 1), ("G2", 1), ("G2.D3", 1), ("D3", 1), ("rest", 1), ("G2", 1)]
    assert named(music.chords_of(notes, rests=True)) == with_rests
    assert named(music.chords_of(notes, rests=False)) == [chord for chord in with_rests if chord[0] != "rest"]


def test_zero_length_notes_sound_until_the_next_change():
    notes = as_notes([(0, Q, 43, 0), (Q, 0, 45, 0), (Q, Q, 47, 0), (2 * Q, 0, 48, 0)])
    assert named(music.chords_of(notes, rests=True)) == [("G2", 1), ("A2.B2", 1)]  # the last one has no next change


def test_chords_are_the_sounding_pitches_at_each_tick():
    rng = np.random.default_rng(0)
    rows = {(int(s), int(n), int(p), int(t)) for s, n, p, t in rng.integers([0, 1, 40, 0], [90, 20, 60, 3], (40, 4))}
    notes = as_notes(rows)
    heard = []
    for chord, length in zip(*music.chords_of(notes, rests=True), strict=True):
        heard += [chord] * length
    assert len(heard) == max(start + length for start, length, _, _ in rows)
    for moment, chord in enumerate(heard):
        sounding = {pitch for start, length, pitch, _ in rows if start <= moment < start + length}
        assert chord == tuple(sorted(sounding))


def write_pieces(root, count, length=12):
    """Writes pieces: number i is a scale from pitch 40 + 2 i, in eighth notes and one quarter note."""
    for i in range(count):
        rows = [(step * Q // 2, Q // 2, 40 + 2 * i + step % 5, 0) for step in range(length)]
        midi.write_notes(as_notes([*rows, (length * Q // 2, Q, 90 + i, 0)]), root / f"piece{i:02}.mid")


def sequences(source):
    rows = source.take(np.arange(len(source)))
    return list(zip(rows["note"].tolist(), rows["duration"].tolist(), strict=True))


def texts(data, rows):
    return [[data.notes[token] for token in note] for note, _ in rows]


def test_windows_span_the_end_of_a_piece(tmp_path):
    write_pieces(tmp_path, 10)
    data = music.load(f"midi:{tmp_path}", sequence_length=4)
    assert [len(source) for source in (data.train, data.validation, data.test)] == [8 * 17 - 4, 13, 13]
    rows = sequences(data.train)
    begin = data.notes.index("START")
    assert data.begin == {"note": begin, "duration": 0}
    assert rows[0][0][:4] == [begin] * 4 and rows[0][1][:4] == [0] * 4
    for one, other in pairwise(rows):
        assert one[0][1:] == other[0][:-1] and one[1][1:] == other[1][:-1]
    assert [data.notes[note[-1]] for note, _ in rows[13:17]] == ["START"] * 4
    assert data.durations == (0, Fraction(1, 2), 1) and all(isinstance(d, Fraction) for d in data.durations)
    assert [data.durations[d[-1]] for _, d in rows[:13]] == [Fraction(1, 2)] * 12 + [1]


def test_continuations_lengthen_rows_but_not_the_context(tmp_path):
    write_pieces(tmp_path, 10)
    data = music.load(f"midi:{tmp_path}", sequence_length=4, continuation_length=3)
    assert [len(source) for source in (data.train, data.validation, data.test)] == [8 * 17 - 6, 11, 11]
    begin = data.notes.index("START")
    first = sequences(data.train)[0][0]
    assert len(first) == 7
    assert first[:4] == [begin] * 4 and begin not in first[4:]  # the context alone is START
    windows = music.load(f"midi:{tmp_path}", sequence_length=4, continuation_length=3, hold_out="windows")
    rows = sequences(windows.train) + sequences(windows.validation)
    assert len(rows) == 10 * 17 - 6 - 2  # no training window has a chord that a held-out one predicts
    last, held_out = sequences(windows.train)[-1][0], sequences(windows.validation)[0][0]
    assert last[3:] == held_out[:4]
    for one, other in [*pairwise(sequences(windows.train)), *pairwise(sequences(windows.validation))]:
        assert one[0][1:] == other[0][:-1]


def test_whole_pieces_are_held_out(tmp_path):
    write_pieces(tmp_path, 20)
    data = music.load(f"midi:{tmp_path}", sequence_length=4)
    lasts = set(range(90, 110))
    found = []
    for source in (data.train, data.validation, data.test):
        names = {name for row in texts(data, sequences(source)) for name in row}
        found.append({pitch for pitch in range(90, 110) if chord_name((pitch,)) in names})
    assert [len(last) for last in found] == [16, 2, 2] and set.union(*found) == lasts


def test_held_out_windows_are_the_last_fifth(tmp_path):
    write_pieces(tmp_path, 2)
    data = music.load(f"midi:{tmp_path}", sequence_length=4, hold_out="windows")
    assert (len(data.train), len(data.validation), data.test) == (24, 6, None)  # of 34 tokens, 30 windows
    rows = sequences(data.train) + sequences(data.validation)
    for one, other in pairwise(rows):
        assert one[0][1:] == other[0][:-1]


def test_only_training_pieces_are_transposed(tmp_path):
    write_pieces(tmp_path, 10)
    plain = music.load(f"midi:{tmp_path}", sequence_length=4)
    moved = music.load(f"midi:{tmp_path}", sequence_length=4, transpose=(-2, 3))
    assert len(moved.train) == 6 * len(plain.train)
    for split in ("validation", "test"):
        before, after = (texts(data, sequences(getattr(data, split))) for data in (plain, moved))
        assert before == after
    rows = texts(moved, sequences(moved.train))
    for key in range(-2, 4):
        expected = [
            [name if name == "START" else chord_name((music.chord_pitches(name)[0] + key,)) for name in row]
            for row in texts(plain, sequences(plain.train))
        ]
        assert rows[(key + 2) * len(plain.train) :][: len(plain.train)] == expected
    durations = [[d for _, d in sequences(data.train)] for data in (plain, moved)]
    assert durations[1] == durations[0] * 6


def test_vocabularies_are_the_tokens_used(tmp_path):
    write_pieces(tmp_path, 10)
    data = music.load(f"midi:{tmp_path}", sequence_length=4, transpose=(-1, 1))
    used = [set(), set()]
    for source in (data.train, data.validation, data.test):
        for note, duration in sequences(source):
            used[0].update(note)
            used[1].update(duration)
    assert used == [set(range(len(data.notes))), set(range(len(data.durations)))]
    assert list(data.notes) == sorted(data.notes) and list(data.durations) == sorted(data.durations)


@pytest.mark.parametrize(("count", "of_keys"), [(8, (3, 3, 2)), (2, (1, 1, 0)), (3 * 132, (132, 132, 132))])
def test_the_first_examples_are_of_all_keys_equally(tmp_path, count, of_keys):
    write_pieces(tmp_path, 10)
    data = music.load(f"midi:{tmp_path}", sequence_length=4, transpose=(-1, 1))
    whole, first = sequences(data.train), music.first_in_every_key(data.train, count, 3)
    assert len(whole) == 3 * 132
    expected = [row for key, n in enumerate(of_keys) for row in whole[132 * key : 132 * key + n]]
    assert sequences(first) == expected and len(first) == count
    assert len(first.sequences["note"]) == sum(n + 4 for n in of_keys if n)  # the other windows are dropped


def test_tokens_become_notes_again(tmp_path):
    notes = as_notes([(0, Q, 43, 0), (0, Q, 50, 0), (Q, Q // 2, 45, 0), (2 * Q, 8, 47, 0)])
    for number, name in enumerate("abc"):  # in different octaves: equal files would be in one split
        midi.write_notes(notes + np.array([0, 0, 12 * number, 0]), tmp_path / f"{name}.mid")
    data = music.load(f"midi:{tmp_path}", sequence_length=3)
    tokens = data.train.sequences
    read = music.notes_of(data, tokens["note"], tokens["duration"])
    assert (read[0, 2] - 43) % 12 == 0
    np.testing.assert_array_equal(read - [0, 0, read[0, 2] - 43, 0], notes)
    bare = music.load(f"midi:{tmp_path}", sequence_length=3, rests=False)
    closed_up = music.notes_of(bare, *bare.train.sequences.values())
    assert closed_up[-1].tolist() == [Q + Q // 2, 8, read[-1, 2], 0]


def test_broken_files_are_named_in_the_note(tmp_path):
    write_pieces(tmp_path, 4)
    (tmp_path / "piece01.mid").write_bytes(b"broken")
    note = music.load(f"midi:{tmp_path}").note
    assert "1 of 4" in note and "piece01.mid" in note and "piece00.mid" not in note


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"transpose": (1, 5)}, "^transpose=1,5: "),
        ({"transpose": (-100, 0)}, "^transpose: -100"),
        ({"sequence_length": 0}, "^sequence_length=0: "),
        ({"hold_out": "bars"}, "^hold_out=bars: .*pieces, windows"),
    ],
)
def test_invalid_options_are_refused(tmp_path, options, named):
    write_pieces(tmp_path, 4)
    with pytest.raises(ConfigError, match=named):
        music.load(f"midi:{tmp_path}", **options)


def test_copies_of_a_file_are_in_one_split(tmp_path):
    write_pieces(tmp_path, 6)
    for path in list(tmp_path.iterdir()):
        path.with_name(f"copy_of_{path.name}").write_bytes(path.read_bytes())
    data = music.load(f"midi:{tmp_path}", sequence_length=4)
    assert "piece00.mid = copy_of_piece00.mid" in data.note
    rows = [set(sequences_of(source)) for source in (data.train, data.validation, data.test)]
    assert not rows[0] & (rows[1] | rows[2]) and not rows[1] & rows[2]


def sequences_of(source):
    """Returns the rows without START."""
    return [tuple(note) for note, duration in sequences(source) if all(duration)]


def test_splits_without_windows_are_refused(tmp_path):
    write_pieces(tmp_path, 12, length=3)
    with pytest.raises(ConfigError, match=f"^dataset=midi:{tmp_path}: .*validation.*64"):
        music.load(f"midi:{tmp_path}", sequence_length=4, continuation_length=60)


def test_too_few_pieces_are_refused(tmp_path):
    write_pieces(tmp_path, 2)
    with pytest.raises(ConfigError, match=f"^dataset=midi:{tmp_path}: .*hold_out=windows"):
        music.load(f"midi:{tmp_path}")
    midi.write_notes(as_notes([(0, Q, 60, 0)]), tmp_path / "piece00.mid")
    (tmp_path / "piece01.mid").unlink()
    with pytest.raises(ConfigError, match=f"^dataset=midi:{tmp_path}: 1 "):
        music.load(f"midi:{tmp_path}", hold_out="windows")


def test_home_directories_are_found(tmp_path, monkeypatch):
    write_pieces(tmp_path, 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(music.load("midi:~", sequence_length=4).validation) == 13
    with pytest.raises(UserError, match=r"^~no_such_user/m: "):
        music.load("midi:~no_such_user/m")


@pytest.mark.parametrize("name", ["cellos", "midi:", "melodies:x"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigError, match=f"^dataset={name}: .*melodies, corpus_chorales, cello, midi:PATH"):
        music.load(name)


def test_chorales_have_all_voices_and_melodies_the_sopranos(monkeypatch):
    def chorale(*sopranos):
        voices = [(pitch, 65, 60, 48) for pitch in sopranos]
        return as_notes([(i * Q, Q, pitch, voice) for i, four in enumerate(voices) for voice, pitch in enumerate(four)])

    sopranos = ((72, 73, 74), (74, 73, 72), (73, 72, 74))
    monkeypatch.setattr(music, "corpus_notes", lambda: [chorale(*soprano) for soprano in sopranos])
    data = music.load("melodies", sequence_length=2)
    assert data.notes == ("C#5", "C5", "D5", "START") and data.durations == (0, 1)
    (place,) = split_by_tune(sopranos)["test"]
    a, b, c = (chord_name((pitch,)) for pitch in sopranos[place])
    assert texts(data, sequences(data.test)) == [["START", "START", a], ["START", a, b], [a, b, c]]
    data = music.load("corpus_chorales", sequence_length=2)
    assert data.notes == ("C3.C4.F4.C#5", "C3.C4.F4.C5", "C3.C4.F4.D5", "START")


def test_the_cello_suites_must_be_complete(tmp_path):
    with pytest.raises(ConfigError, match=r"^dataset=cello: .*data_dir"):
        music.load("cello")
    for movement in music.CELLO_MOVEMENTS:
        midi.write_notes(as_notes([(0, Q, 43, 0)]), tmp_path / f"cs{movement}.mid")
    (tmp_path / "cs6-3cou.mid").unlink()
    with pytest.raises(UserError, match=rf"{tmp_path}: .*cs6-3cou\.mid"):
        music.load("cello", data_dir=str(tmp_path))


def test_the_books_cello_suites(data_dir):
    data = music.load("cello", data_dir=str(data_dir), hold_out="windows", rests=False)
    assert (len(data.notes), len(data.durations)) == (387, 18)
    assert (len(data.train), len(data.validation)) == (22_376, 5_595)
    quarters = "0 1/12 1/6 1/4 1/3 1/2 2/3 3/4 1 5/4 4/3 3/2 7/4 2 9/4 5/2 3 4"
    assert data.durations == tuple(map(Fraction, quarters.split()))
    printed = {0: "A2", 13: "A2.E3.D4", 84: "C#2", 154: "D2.A2.F#3.D4", 204: "E-2", 340: "G2.D3.B3", 386: "START"}
    assert {number: data.notes[number] for number in printed} == printed  # by the book's saved notebook
    first = {name: tokens[0] for name, tokens in data.train.take(np.array([0])).items()}
    assert first["note"][:32].tolist() == [386] * 32 and first["duration"].tolist() == [0] * 32 + [3]


def test_twelve_keys_of_the_cello_suites(data_dir):
    plain = music.load("cello", data_dir=str(data_dir))
    data = music.load("cello", data_dir=str(data_dir), transpose=(-6, 5))
    assert len(data.train) == 12 * len(plain.train) and len(data.test) == len(plain.test)
