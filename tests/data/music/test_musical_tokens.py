"""Tests of music as tokens: the public service's numbers, its decoder's rules, and augmentation."""

import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.music.musical_tokens import (
    BEGIN,
    GRID_BEGIN,
    GROUPS,
    NOTES,
    SILENCE,
    EventTokens,
    GridTokens,
    stretched,
    transposed,
    waits,
)
from gdl_jax.data.music.performances import DRUM_LENGTH, DRUMS, INSTRUMENTS, as_performance

TOKENS = EventTokens(("bach", "mozart"), ((0,), (1, 2)))
VIOLIN, DRUM_GROUP = 14, 30  # groups


def test_the_table_is_that_of_the_public_service():
    assert (len(GROUPS), NOTES, BEGIN) == (31, 3968, 4096)
    assert GROUPS[:4] == ((0, 0), (0, 24), (0, 32), (0, 40)) and GROUPS[13] == (0, 120)
    assert [INSTRUMENTS[player] for player, _ in GROUPS[14::2]][:9] == list(INSTRUMENTS[1:])
    assert GROUPS[DRUM_GROUP] == (DRUMS, 80)


def test_events_are_beginnings_ends_and_waits():
    performance = as_performance(
        [(0, 10, 60, 64, 0), (0, 300, 70, 99, 1), (10, 290, 62, 27, 0), (300, 5, 35, 90, DRUMS)]
    )
    assert TOKENS.encode(performance).tolist() == [
        6 * 128 + 60,  # volume 64
        VIOLIN * 128 + 70,
        NOTES + 9,
        60,  # the end of 60, before the next note
        1 * 128 + 62,  # 24
        BEGIN - 1,
        BEGIN - 1,
        NOTES + 33,
        62,
        (VIOLIN + 1) * 128 + 70,
        DRUM_GROUP * 128 + 35,
    ]


def test_pieces_without_unisons_survive():
    rng = np.random.default_rng(0)
    rows, now = [], 0
    for number in range(200):
        player = int(rng.integers(len(INSTRUMENTS)))
        volume = int(8 * rng.integers(3, 16)) if player == 0 else 80
        length = DRUM_LENGTH if player == DRUMS else int(rng.integers(1, 400))
        rows.append((now, length, number % 128, volume, player))
        now += int(rng.integers(0, 200))
    performance = as_performance(rows)
    np.testing.assert_array_equal(TOKENS.decode(TOKENS.encode(performance)), performance)


def test_the_decoder_closes_what_is_struck_again_ignores_ends_of_nothing_and_ends_at_the_last_time():
    tokens = [50, 10 * 128 + 60, *waits(20), 10 * 128 + 60, *waits(200), BEGIN]
    assert TOKENS.decode(tokens).tolist() == [[0, 20, 60, 96, 0], [20, 200, 60, 96, 0]]


@pytest.mark.parametrize(("gap", "count"), [(0, 0), (1, 1), (128, 1), (129, 2), (256, 2), (1000, 8)])
def test_pauses_are_the_sum_of_their_waits(gap, count):
    found = waits(gap)
    assert len(found) == count and sum(token - NOTES + 1 for token in found) == gap


def test_headers_name_composer_and_instruments():
    assert TOKENS.size == 4096 + 1 + 2 + 10
    assert TOKENS.header("mozart", [2, 1, 2]).tolist() == [4096, 4098, 4100, 4101]
    np.testing.assert_array_equal(TOKENS.usual_header("mozart"), TOKENS.header("mozart", [1, 2]))


def test_a_grid_has_four_voices_in_turn():
    steps = np.array([[72, 67, 60, 48], [72, 67, 60, -1], [74, 67, 59, 48]], np.int8)
    grid = GridTokens()
    tokens = grid.encode(steps)
    assert tokens.tolist() == [72, 67, 60, 48, 72, 67, 60, SILENCE, 74, 67, 59, 48]
    notes = grid.decode([GRID_BEGIN] * 4 + tokens.tolist() + [70])  # an incomplete step
    assert sorted(map(tuple, notes[:, :3].tolist())) == sorted(
        [(0, 24, 72), (24, 12, 74), (0, 36, 67), (0, 24, 60), (24, 12, 59), (0, 12, 48), (24, 12, 48)]
    )


def test_transposition_moves_notes_but_no_drums_and_stays_in_range():
    tokens = jnp.array([60, 6 * 128 + 64, VIOLIN * 128 + 3, NOTES + 9, DRUM_GROUP * 128 + 35, BEGIN, 4100])
    moved = transposed(tokens, 2, NOTES)
    assert (moved - tokens).tolist() == [2, 2, 2, 0, 0, 0, 0]
    assert (transposed(tokens, -5, NOTES) - tokens).tolist() == [-3, -3, -3, 0, 0, 0, 0]  # 3 is the lowest pitch
    assert (transposed(jnp.array([120, SILENCE, GRID_BEGIN]), 12, 128)).tolist() == [127, SILENCE, GRID_BEGIN]


def test_stretching_changes_waits_alone():
    tokens = jnp.array([60, NOTES, NOTES + 19, BEGIN - 1, BEGIN, 6 * 128 + 60])
    assert stretched(tokens, 1.1).tolist() == [60, NOTES, NOTES + 21, BEGIN - 1, BEGIN, 6 * 128 + 60]
    assert stretched(tokens, 0.5).tolist()[:4] == [60, NOTES, NOTES + 9, NOTES + 63]
