"""Spatial index of a track's tiles: a grid of square cells over the playfield, made once per track.

A car touches only a few tiles at a time, but not always neighbours of the previous ones: parts of the road are close
together, and a car can cross the grass between them. For each cell, the index lists all tiles whose bounding box is
within REACH of the cell. It is stored as one list of tiles, sorted by cell, with the start of each cell's tiles: 16 kB
per track, where a dense table of cells would take 131 kB.
"""

import jax
import jax.numpy as jnp
from flax import struct

CELL = 8.0  # side of a cell
COLUMNS = 64  # cells along each axis; those at the rim extend to infinity
ORIGIN = -0.5 * CELL * COLUMNS  # of both axes
REACH = 2.62  # exceeds the distance of any point of a wheel from the hull's origin, contact margin included
SPAN = 4  # most cells along each axis that a tile's bounding box, grown by REACH, may cover
ENTRIES = 4096  # most (cell, tile) pairs of a track; the maximum over 600 tracks is 3,519
PER_CELL = 20  # most tiles of a cell; the maximum over 600 tracks is 16


@struct.dataclass
class TileIndex:
    """Tiles by cell: those of cell c are tiles[starts[c]:starts[c + 1]].

    Attributes:
      starts: (COLUMNS * COLUMNS + 1,) int16.
      tiles: (ENTRIES + PER_CELL,) int16.
    """

    starts: jax.Array
    tiles: jax.Array


def _column(coordinate: jax.Array) -> jax.Array:
    return jnp.clip(jnp.floor((coordinate - ORIGIN) / CELL), 0, COLUMNS - 1).astype(jnp.int32)


def build_index(corners: jax.Array, count: jax.Array) -> tuple[TileIndex, jax.Array]:
    """Returns the index of a track's tiles, and whether all of them fit into its fixed size.

    Args:
      corners: (T, 4, 2), of all tiles.
      count: () int32, number of real tiles; the others are padding.
    """
    tiles = jnp.arange(corners.shape[0])
    first = _column(corners.min(axis=1) - REACH)  # (T, 2)
    last = _column(corners.max(axis=1) + REACH)
    offsets = jnp.arange(SPAN)
    columns = first[:, None] + offsets[:, None]  # (T, SPAN, 2)
    covered = (columns <= last[:, None]) & (tiles < count)[:, None, None]
    cells = columns[:, :, None, 0] * COLUMNS + columns[:, None, :, 1]  # (T, SPAN, SPAN)
    real = covered[:, :, None, 0] & covered[:, None, :, 1]
    pairs = jnp.where(real, cells, COLUMNS**2) * len(tiles) + tiles[:, None, None]
    pairs = jnp.sort(pairs.ravel())[: ENTRIES + PER_CELL]
    cells, tiles = pairs // len(tiles), pairs % len(tiles)
    starts = jnp.searchsorted(cells, jnp.arange(COLUMNS**2 + 1))
    fits = (jnp.diff(starts).max() <= PER_CELL) & (starts[-1] <= ENTRIES) & ((last - first).max() < SPAN)
    return TileIndex(starts.astype(jnp.int16), tiles.astype(jnp.int16)), fits


def tiles_near(index: TileIndex, position: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns all tiles within REACH of `position` (2,), and some more: (PER_CELL,) int32, and a mask of real ones."""
    column = _column(position)
    cell = column[0] * COLUMNS + column[1]
    start, end = index.starts[cell].astype(jnp.int32), index.starts[cell + 1]
    tiles = jax.lax.dynamic_slice(index.tiles, (start,), (PER_CELL,)).astype(jnp.int32)
    return tiles, jnp.arange(PER_CELL) < end - start
