"""What sets pieces of music apart, cell by cell: a cell is what one track plays in one step.

Pieces are (N, bars, steps, tracks), integers: a pitch, or -1 where the track is silent.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

KEYS = range(-6, 6)  # semitones that lead to each of twelve keys


class NearestPieces(NamedTuple):
    """Of each piece, the row of the nearest reference, how it has to be moved, and its distance then: each (N,)."""

    index: np.ndarray
    semitones: np.ndarray
    distance: np.ndarray


def share_changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The share of cells that differ between pieces and their variations, in [0, 1]: (bars, tracks)."""
    return (before != after).mean(axis=(0, 2))


def nearest_pieces(pieces: np.ndarray, references: np.ndarray) -> NearestPieces:
    """Of the references (M, ...), moved to any of KEYS, the one with the fewest cells other than a piece (N, ...) has.

    Returns:
      Distances are shares of cells, in [0, 1].
    """
    flat, moved = (array.reshape(len(array), -1).astype(np.int8) for array in (pieces, references))
    places, alike = map(np.asarray, _most_alike(flat, moved))
    index, key = np.divmod(places, len(KEYS))
    return NearestPieces(index, key + KEYS[0], 1 - alike / flat.shape[1])


@jax.jit
def _most_alike(pieces: jax.Array, references: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pieces (N, cells), references (M, cells) -> the place in (M, KEYS) with most cells alike, and how many: (N,)."""

    def of_one(piece):
        silent = (piece < 0) & (references < 0)  # in whatever key
        both = (piece >= 0) & (references >= 0)
        interval = piece - references
        alike = jnp.stack([(silent | (both & (interval == key))).sum(axis=1) for key in KEYS], axis=1)  # (M, KEYS)
        return alike.argmax(), alike.max()

    return lax.map(of_one, pieces)
