"""Differences between pieces of music, counted in cells; a cell is the pitch of one track in one step.

Pieces are (N, bars, steps, tracks), integers: a pitch, or -1 where the track is silent.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

KEYS = range(-6, 6)  # semitones to transpose by, to reach all twelve keys


class NearestPieces(NamedTuple):
    """The row of the nearest reference of each piece, the semitones to transpose it by, and its distance; each (N,)."""

    index: np.ndarray
    semitones: np.ndarray
    distance: np.ndarray


def share_changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Returns the share of cells that differ between pieces and their variations, in [0, 1]: (bars, tracks)."""
    return (before != after).mean(axis=(0, 2))


def nearest_pieces(pieces: np.ndarray, references: np.ndarray) -> NearestPieces:
    """Finds the reference (M, ...) that differs from each piece (N, ...) in the fewest cells, in any transposition.

    Returns:
      Rows, transpositions from KEYS, and distances: shares of differing cells, in [0, 1].
    """
    flat, others = (array.reshape(len(array), -1).astype(np.int8) for array in (pieces, references))
    best, equal = map(np.asarray, _most_equal(flat, others))
    index, key = np.divmod(best, len(KEYS))
    return NearestPieces(index, key + KEYS[0], 1 - equal / flat.shape[1])


@jax.jit
def _most_equal(pieces: jax.Array, references: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the index into (M, KEYS) with the most equal cells and their number, (N,), for pieces and references."""

    def of_one(piece):
        silent = (piece < 0) & (references < 0)  # in every key
        both = (piece >= 0) & (references >= 0)
        interval = piece - references
        equal = jnp.stack([(silent | (both & (interval == key))).sum(axis=1) for key in KEYS], axis=1)  # (M, KEYS)
        return equal.argmax(), equal.max()

    return lax.map(of_one, pieces)
