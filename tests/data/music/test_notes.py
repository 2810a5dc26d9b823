"""Tests of notes, rolls and windows against plain loops."""

import numpy as np
import pytest

from gdl_jax.data.music.notes import (
    TICKS,
    as_notes,
    chord_name,
    chord_pitches,
    from_rolls,
    in_quarters,
    pitch_table,
    to_steps,
)
from gdl_jax.data.text.windows import Windows


def test_chords_have_the_names_of_music21():
    assert chord_name((45, 52, 61)) == "A2.E3.C#4"
    assert chord_name((58, 63)) == "B-3.E-4"
    assert chord_name(()) == "rest"
    for chord in ((11, 12), (60, 61, 66), ()):
        assert chord_pitches(chord_name(chord)) == chord
    assert [chord_pitches(chord_name((pitch,))) for pitch in range(128)] == [(pitch,) for pitch in range(128)]
    assert chord_pitches("START") == ()


def test_tables_of_pitches():
    table = pitch_table(["A2.E3", "START", "C4"])
    assert table.shape == (3, 128)
    assert [np.flatnonzero(row).tolist() for row in table] == [[45, 52], [], [60]]


def test_times_in_quarter_notes():
    notes = as_notes([(TICKS, 8, 60, 1), (0, 12, 62, 0)])
    np.testing.assert_allclose(in_quarters(notes), [[0, 0.5, 62, 0], [1, 1 / 3, 60, 1]])


def runs(rolls, restruck=None):
    notes = []
    steps, pitches, tracks = rolls.shape
    for track in range(tracks):
        for pitch in range(pitches):
            start = None
            for step in range(steps + 1):
                sounds = step < steps and rolls[step, pitch, track] > 0
                if start is not None and (not sounds or (restruck and step % restruck == 0)):
                    notes.append((start * 6, (step - start) * 6, pitch, track))
                    start = None
                if sounds and start is None:
                    start = step
    return sorted(notes)


@pytest.mark.parametrize("restruck", [None, 4, 3])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_rolls_become_notes(restruck, share):
    rng = np.random.default_rng(0)
    rolls = np.where(rng.random((26, 7, 3)) < share, 1.0, -1.0)
    notes = from_rolls(rolls, restruck=restruck)
    assert sorted(map(tuple, notes.tolist())) == runs(rolls, restruck)
    assert (np.diff(notes[:, 0]) >= 0).all()


def test_silent_rolls_have_no_notes():
    assert from_rolls(-np.ones((8, 12, 2))).shape == (0, 4)


def test_notes_become_steps():
    notes = as_notes([(0, 12, 60, 0), (12, 24, 62, 0), (7, 5, 48, 1), (13, 4, 50, 1), (24, 6, 52, 1), (30, 3, 53, 1)])
    steps = to_steps(notes, 3)
    assert steps[:, 0].tolist() == [60, 60, 62, 62, 62, 62]
    assert steps[:, 1].tolist() == [-1, -1, -1, -1, 52, 53]  # notes between two steps are dropped
    assert steps[:, 2].tolist() == [-1] * 6 and steps.dtype == np.int8


def test_rolls_survive_conversion_to_notes_and_back():
    rng = np.random.default_rng(1)
    pitches = rng.integers(-1, 12, (64, 2))
    rolls = pitches[:, None] == np.arange(12)[:, None]
    steps = to_steps(from_rolls(rolls), 2)
    np.testing.assert_array_equal(steps, pitches[: len(steps)])
    assert (pitches[len(steps) :] == -1).all()


def test_windows_are_cut_lazily():
    sequences = {"note": np.arange(10, dtype=np.int32), "label": np.arange(100, 110)}
    windows = Windows(sequences, np.array([0, 3, 6]), 4)
    rows = windows.take(np.array([2, 0]))
    assert rows["note"].tolist() == [[6, 7, 8, 9], [0, 1, 2, 3]]
    assert rows["label"][:, 0].tolist() == [106, 100]
    assert len(windows) == 3 and windows.nbytes == sum(a.nbytes for a in windows.take(np.arange(3)).values())
