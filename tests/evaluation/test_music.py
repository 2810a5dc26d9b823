"""Metrics of music, against small examples by hand and plain loops in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.evaluation import music

C_MAJOR, C_SHARP = [0, 2, 4, 5, 7, 9, 11], 1
RNG = np.random.default_rng(0)


def line(*pitches, size=84):
    """Returns a piano roll (steps, size) of -1 and 1 with one pitch per step; None is a rest."""
    roll = np.full((len(pitches), size), -1.0, np.float32)
    for step, pitch in enumerate(pitches):
        if pitch is not None:
            roll[step, pitch] = 1
    return roll


def sparse(*shape, share=0.1):
    return np.where(RNG.random(shape) < share, 1.0, -1.0).astype(np.float32)


def test_pitch_classes_are_counted_over_octaves():
    counts = music.pitch_class_counts(line(60, 72, 61, None, 83))
    assert counts.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    roll = sparse(20, 100)  # not a whole number of octaves
    expected = [(roll[:, pitch_class::12] > 0).sum() for pitch_class in range(12)]
    np.testing.assert_array_equal(music.pitch_class_counts(roll), expected)


def test_events_are_weighted_by_their_duration():
    pitches = np.zeros((3, 128), np.float32)
    pitches[0, 60] = pitches[1, [62, 74, 64]] = 1  # the third token is a rest
    roll = music.event_roll(jnp.array([0, 1, 2, 0]), jnp.array([1, 0, 1, 2]), pitches, jnp.array([0.5, 1.0, 3.0]))
    assert music.pitch_class_counts(roll).tolist() == [4, 0, 1, 0, 0.5, 0, 0, 0, 0, 0, 0, 0]
    assert music.pitch_range(roll) == 14


def test_scale_consistency_finds_the_best_scale():
    for tonic in range(12):
        counts = np.zeros(12)
        counts[[(pitch + tonic) % 12 for pitch in C_MAJOR]] = [3, 1, 2, 1, 3, 1, 1]
        share, found = music.scale_consistency(jnp.asarray(counts))
        assert share == 1 and found == tonic
        counts[(tonic + C_SHARP) % 12] = 1.5  # 12 of 13.5 are in the scale
        share, found = music.scale_consistency(jnp.asarray(counts))
        assert share == pytest.approx(12 / 13.5) and found == tonic
    a_minor = np.zeros(12)
    a_minor[[9, 0, 4]] = 1
    assert music.scale_consistency(jnp.asarray(a_minor))[0] == 1
    assert music.scale_consistency(jnp.ones(12))[0] == pytest.approx(7 / 12)
    assert np.isnan(music.scale_consistency(jnp.zeros(12))[0])


def test_pitch_range():
    assert music.pitch_range(line(60, None, 48, 67)) == 19
    assert music.pitch_range(line(60, 60)) == 0
    assert music.pitch_range(line(0, 83)) == 83
    assert np.isnan(music.pitch_range(line(None, None)))


def test_pitch_classes_of_each_bar():
    bars = np.stack([line(60, 72, 64, None), line(None, None, None, None), line(60, 61, 62, 63)])
    assert music.pitch_classes_per_bar(bars).tolist() == [2, 0, 4]


def runs(roll):
    """Counts notes by length, in plain loops."""
    counts = [0] * len(roll)
    for column in (roll > 0).T:
        length = 0
        for on in [*column, False]:
            if on:
                length += 1
            elif length:
                counts[length - 1] += 1
                length = 0
    return counts


@pytest.mark.slow
def test_note_lengths():
    assert music.note_lengths(line(60, 60, 60, 62, None, 60)).tolist() == [2, 0, 1, 0, 0, 0]
    assert music.note_lengths(line(60, 60, 60)).tolist() == [0, 0, 1]
    for share in (0.1, 0.5, 0.9):
        roll = sparse(40, 12, share=share)
        assert music.note_lengths(roll).tolist() == runs(roll)


def test_polyphony_ignores_silent_steps():
    roll = line(60, 62, None, 64)
    roll[0, [64, 67]] = 1
    assert music.polyphony(roll) == pytest.approx(5 / 3)
    assert np.isnan(music.polyphony(jnp.asarray(line(None))))


def test_tonal_distance_of_single_pitches_matches_geometry():
    """Distances on circles of radius 1, 1 and 1/2, with 7, 3 and 4 twelfths of a turn per semitone."""
    for interval in range(12):
        turns = [interval * turn / 12 for turn in (7, 3, 4)]
        chords = [2 * r * math.sin(math.pi * turn) for r, turn in zip((1, 1, 0.5), turns, strict=True)]
        low, high = line(*[48] * 4), line(*[48 + interval] * 4)
        assert music.tonal_distance(low, high) == pytest.approx(math.hypot(*chords), abs=1e-5)
    fifth, tritone = (music.tonal_distance(line(*[48] * 4), line(*[48 + i] * 4)) for i in (7, 6))
    assert fifth < tritone


def centroid(roll):
    """Returns the tonal centroid, in plain loops; None if nothing sounds."""
    heard = [pitch for row in roll for pitch in np.flatnonzero(row > 0)]
    place = np.zeros(6)
    for pitch in heard:
        for circle, (fraction, radius) in enumerate(((7, 1), (3, 1), (4, 0.5))):
            angle = pitch * fraction * math.pi / 6
            place[2 * circle : 2 * circle + 2] += radius * math.sin(angle), radius * math.cos(angle)
    return place / len(heard) if heard else None


def distance(first, second):
    places = [(centroid(first[i : i + 4]), centroid(second[i : i + 4])) for i in range(0, len(first), 4)]
    return np.mean([np.linalg.norm(a - b) for a, b in places if a is not None and b is not None])


def test_tonal_distance_averages_over_beats_in_which_both_sound():
    a = line(*[48] * 4, *[None] * 4, *[48] * 4)
    b = line(*[55] * 4, *[61] * 4, *[48] * 4)
    assert music.tonal_distance(a, b) == pytest.approx(distance(a[:4], b[:4]) / 2, abs=1e-5)
    a, b = sparse(32, 84, share=0.01), sparse(32, 84, share=0.01)
    assert music.tonal_distance(a, b) == pytest.approx(distance(a, b), abs=1e-5)
    assert np.isnan(music.tonal_distance(line(*[48] * 4), line(*[None] * 4)))


def pieces(count=5):
    """(count, 2, 16, 84, 4) with a pitch or a rest in each step and track."""
    rolls = np.full((count, 2, 16, 84, 4), -1.0, np.float32)
    for index in np.ndindex(count, 2, 16, 4):
        if (pitch := RNG.integers(40, 70)) < 64:
            rolls[(*index[:3], pitch, index[3])] = 1
    return rolls


def test_mean_description_matches_plain_loops():
    rolls = pieces()
    expected = {}
    for roll in rolls:
        flat = [roll[..., track].reshape(32, 84) for track in range(4)]
        used = [np.flatnonzero((track > 0).any(0)) for track in flat]
        counts = np.array([[(track[:, i::12] > 0).sum() for i in range(12)] for track in flat]).sum(0)
        best = max(sum(counts[(tonic + step) % 12] for step in C_MAJOR) for tonic in range(12))
        lengths = np.sum([runs(track) for track in flat], axis=0)
        together = np.maximum.reduce(flat) > 0
        numbers = {
            "pitch_range": np.mean([pitches[-1] - pitches[0] for pitches in used]),
            "pitch_classes_a_bar": np.mean(
                [len(set(np.nonzero(roll[bar, ..., track] > 0)[1] % 12)) for bar in range(2) for track in range(4)]
            ),
            "share_in_one_scale": best / counts.sum(),
            "steps_a_note": (np.arange(1, 33) * lengths).sum() / lengths.sum(),
            "polyphony": together.sum() / together.any(1).sum(),
            "tonal_distance": np.mean([distance(flat[i], flat[j]) for i in range(4) for j in range(i)]),
        }
        for name, number in numbers.items():
            expected.setdefault(name, []).append(number)
    found = music.mean_description(rolls)
    assert found.keys() == expected.keys()
    for name, numbers in expected.items():
        assert found[name] == pytest.approx(np.mean(numbers), rel=1e-5), name


def test_silent_pieces_are_ignored_in_means():
    rolls = pieces(2)
    alone = music.mean_description(rolls[:1])
    rolls[1] = -1
    both = music.mean_description(rolls)
    assert both["pitch_classes_a_bar"] == pytest.approx(float(alone["pitch_classes_a_bar"]) / 2)
    for name in set(both) - {"pitch_classes_a_bar"}:
        assert both[name] == pytest.approx(float(alone[name]), rel=1e-5), name


def test_single_tracks_have_no_tonal_distance():
    assert "tonal_distance" not in music.mean_description(pieces(1)[..., :1])


def test_shuffling_permutes_the_steps_of_each_track_independently():
    roll = np.stack([line(*np.repeat(RNG.integers(40, 80, 8), 4)) for _ in range(4)], axis=-1).reshape(2, 16, 84, 4)
    mixed = np.asarray(music.shuffled(jax.random.key(0), roll))
    for track in range(4):
        before, after = (sorted(map(bytes, x[..., track].reshape(32, 84).copy())) for x in (roll, mixed))
        assert before == after
    orders = [mixed[..., track].reshape(32, 84).argmax(1).tolist() for track in (0, 1)]
    assert orders[0] != roll[..., 0].reshape(32, 84).argmax(1).tolist()
    before, after = (music.mean_description(x[None]) for x in (roll, mixed))
    assert before["share_in_one_scale"] == pytest.approx(float(after["share_in_one_scale"]))
    assert after["steps_a_note"] < before["steps_a_note"] / 2
    same = np.repeat(roll[..., :1], 2, axis=-1)  # two equal tracks are shuffled differently
    assert not np.array_equal(*np.moveaxis(np.asarray(music.shuffled(jax.random.key(1), same)), -1, 0))
