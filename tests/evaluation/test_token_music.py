"""Tests of measures of music as tokens, against plain statements of them."""

import numpy as np
import pytest

from gdl_jax.evaluation import token_music
from gdl_jax.evaluation.copying import copied_shares

NOTES = 2 * 128


def test_intervals_of_events_do_not_depend_on_the_key():
    tokens = np.array([60, 128 + 64, 300, 55, 128 + 60, 310])
    moved = np.where(tokens < NOTES, tokens + 3, tokens)
    coded = token_music.event_intervals(tokens, NOTES)
    np.testing.assert_array_equal(coded, token_music.event_intervals(moved, NOTES))
    assert len(set(coded.tolist())) == 6
    other = token_music.event_intervals(np.array([60, 128 + 65, 300, 55, 128 + 60, 310]), NOTES)
    assert (other != coded).tolist() == [False, True, False, True, False, False]


def test_intervals_of_a_grid_are_those_of_each_voice():
    steps = np.array([[72, 67], [74, 67], [128, 65], [76, 60]])
    coded = token_music.grid_intervals(steps.ravel(), 2)
    np.testing.assert_array_equal(coded, token_music.grid_intervals(np.where(steps < 128, steps - 5, steps).ravel(), 2))
    assert coded.reshape(-1, 2)[1].tolist() == [2 + 128, 128] and coded.reshape(-1, 2)[2, 1] == 128 - 2


def test_a_transposed_copy_is_found():
    rng = np.random.default_rng(0)
    piece = rng.integers(40, 80, 200)
    copy = piece[50:100] + 4
    coded = [token_music.event_intervals(tokens, NOTES) for tokens in (piece, copy, rng.integers(40, 80, 50))]
    shares = copied_shares(coded[0], {"copy": coded[1][None], "new": coded[2][None]}, length=8, separator=-1)
    assert shares["copy"] > 0.95 and shares["new"] == 0


def test_styles_are_told_apart_by_their_intervals():
    rng = np.random.default_rng(0)

    def piece(step):
        return np.cumsum(rng.choice([-step, step], 100)) % 24 + 60

    def counts(step):
        return token_music.style_counts(piece(step), NOTES, 4)

    training = {"steps": counts(2), "leaps": counts(7)}
    assert token_music.classify(training, np.stack([counts(2), counts(7), counts(7)])) == ["steps", "leaps", "leaps"]


def test_style_counts_are_intervals_and_waits():
    found = token_music.style_counts(np.array([60, NOTES + 2, 128 + 64, NOTES + 2, NOTES + 9, 63]), NOTES, 4)
    assert found.sum() == 4 and found[128 + 4] == found[128 - 1] == 1 and found[-2] == 2


def test_baselines_are_those_of_plain_counting():
    training, tokens = np.array([0, 0, 1, 1, 0, 2]), np.array([1, 1, 2, 0])
    shares = (np.array([3, 2, 1]) + 1) / 9
    assert token_music.unigram_loss(training, tokens, 3) == pytest.approx(-np.log(shares[tokens]).mean())
    same = 2 / 5
    expected = [same + (1 - same) * shares[1], (1 - same) * shares[2], (1 - same) * shares[0]]
    assert token_music.copy_loss(training, tokens, 3, 1) == pytest.approx(-np.log(expected).mean())


def test_rolls_have_the_notes_of_their_bars():
    notes = np.array([[0, 12, 60, 0], [6, 6, 64, 0], [96 + 90, 600, 67, 0]])
    (roll,) = token_music.piece_rolls([notes], 2, 6, 16)
    flat = roll.reshape(32, 128)
    assert sorted(map(tuple, np.argwhere(flat).tolist())) == [(0, 60), (1, 60), (1, 64), (31, 67)]
