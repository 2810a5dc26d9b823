"""Shares of cells, against counts by hand."""

import numpy as np
import pytest

from gdl_jax.evaluation.pieces import nearest_pieces, share_changed


def test_share_changed_is_per_bar_and_track():
    before = np.zeros((2, 3, 4, 2), int)  # (N, bars, steps, tracks)
    after = before.copy()
    after[0, 1, :, 0] = 5  # 4 of the 8 cells of bar 1, track 0
    after[1, 2, 3, 1] = -1  # 1 of 8
    expected = np.zeros((3, 2))
    expected[1, 0], expected[2, 1] = 0.5, 0.125
    np.testing.assert_array_equal(share_changed(before, after), expected)


def test_nearest_piece_has_the_fewest_differing_cells_in_any_key():
    rng = np.random.default_rng(0)
    references = rng.integers(-1, 70, (5, 2, 16, 4))
    pieces = references[[3, 0, 4]].copy()
    pieces[0, 0, :8, 1] = 83  # 8 of 128 cells
    pieces[1, 1, 0, 0] = 83
    for piece, semitones in zip(pieces, (0, 5, -6), strict=True):  # rests remain rests
        piece[piece >= 0] += semitones
    pieces[pieces < -1] = 83
    index, semitones, distance = nearest_pieces(pieces, references)
    np.testing.assert_array_equal(index, [3, 0, 4])
    np.testing.assert_array_equal(semitones, [0, 5, -6])
    np.testing.assert_allclose(distance[:2], [8 / 128, 1 / 128], rtol=1e-5)


def test_nearest_piece_matches_plain_loops():
    rng = np.random.default_rng(1)
    references, pieces = (rng.integers(-1, 4, (count, 1, 8, 2)) for count in (7, 9))

    def share(piece, reference, semitones):
        moved = np.where(reference < 0, -1, reference + semitones)
        moved[(reference >= 0) & (moved < 0)] = 99  # below the lowest pitch, not a rest
        return (piece != moved).mean()

    found = nearest_pieces(pieces, references)
    for piece, index, semitones, distance in zip(pieces, *found, strict=True):
        assert distance == pytest.approx(share(piece, references[index], semitones))
        assert distance == pytest.approx(
            min(share(piece, reference, key) for reference in references for key in range(-6, 6))
        )
