"""Random race tracks with the distribution of gymnasium's CarRacing-v3.

A point walks counter-clockwise from checkpoint to checkpoint with bounded turns; its last closed lap is the track.
Lengths are in gymnasium's world units: the road is 13.3 wide and a tile 3.5 long.
"""

import jax
import jax.numpy as jnp
from flax import struct

from gdl_jax.envs.car_racing.tile_index import TileIndex, build_index

SCALE = 6.0
TRACK_RADIUS = 900.0 / SCALE
TILE_LENGTH = 21.0 / SCALE
HALF_WIDTH = 40.0 / SCALE
TURN_RATE = 0.31  # largest turn between two points, radians
CHECKPOINTS = 12
START_ALPHA = -jnp.pi / CHECKPOINTS  # a lap begins half-way between the last checkpoint and the first
LAPS = 5
WALK = 2500  # most points
BORDER_LENGTH = 4  # fewest tiles of a hard turn that has a border
BORDER_TURN = 0.2 * TURN_RATE
MAX_TILES = 400  # gymnasium's tracks: 293 tiles on average, 99.9 % up to 380, the longest of 1,500 had 390


@struct.dataclass
class Track:
    """A closed road of `count` tiles. Rows from `count` on repeat the last one, so their tiles have no area.

    Tile i is the quadrilateral left[i], right[i], right[i - 1], left[i - 1]; tile 0's predecessor is `count` - 1.

    Attributes:
      count: () int32, the number N of tiles, at most T = MAX_TILES.
      centre: (T, 2), the middle of each tile's front edge.
      angle: (T,), radians; the road's direction is (-sin, cos) of it. Neighbours may differ by 2 pi.
      left, right: (T, 2), the ends of each tile's front edge, as seen in the direction of the road.
      border: (T,) int8, the side (-1 left, 1 right) with a red and white border, or 0.
      index: spatial index of the tiles; needed for driving only.
    """

    count: jax.Array
    centre: jax.Array
    angle: jax.Array
    left: jax.Array
    right: jax.Array
    border: jax.Array
    index: TileIndex | None = None


def previous(values: jax.Array, count: jax.Array) -> jax.Array:
    """Returns the values (T, ...) of each tile's predecessor on the closed road."""
    return jnp.roll(values, 1, axis=0).at[0].set(values[count - 1])


def tile_corners(track: Track) -> jax.Array:
    """Returns the corners of all tiles, (T, 4, 2): front left, front right, back right, back left."""
    left, right = track.left, track.right
    return jnp.stack([left, right, previous(right, track.count), previous(left, track.count)], axis=1)


def lay_tiles(count: jax.Array, angle: jax.Array, centre: jax.Array) -> tuple[Track, jax.Array]:
    """Returns the track through given points, and whether it fits into its index.

    Args:
      count: () int32, the number of points.
      angle: (T,), radians; rows from `count` on are ignored.
      centre: (T, 2).
    """
    rows = jnp.minimum(jnp.arange(MAX_TILES), count - 1)
    angle, centre = angle[rows], centre[rows]
    half = HALF_WIDTH * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    border = jnp.where(jnp.arange(MAX_TILES) < count, _borders(count, angle), 0).astype(jnp.int8)
    track = Track(count, centre, angle, centre - half, centre + half, border)
    index, fits = build_index(tile_corners(track), count)
    return track.replace(index=index), fits


def _borders(count: jax.Array, angle: jax.Array) -> jax.Array:
    """Returns the side of the border for tiles in hard one-way turns of at least BORDER_LENGTH tiles, else 0."""
    turn = angle - previous(angle, count)
    hard = jnp.where(jnp.abs(turn) > BORDER_TURN, jnp.sign(turn), 0)
    rows, window = jnp.arange(MAX_TILES)[:, None], jnp.arange(BORDER_LENGTH)
    ends_turn = jnp.abs(hard[(rows - window) % count].sum(axis=1)) == BORDER_LENGTH
    return jnp.where(ends_turn[(rows + window) % count].any(axis=1), -jnp.sign(turn), 0)


def draw_checkpoints(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draws ascending polar angles and radii of the checkpoints, both (CHECKPOINTS,); the first and last are fixed."""
    angle_key, radius_key = jax.random.split(key)
    sector = 2 * jnp.pi / CHECKPOINTS
    angles = sector * (jnp.arange(CHECKPOINTS) + jax.random.uniform(angle_key, (CHECKPOINTS,)))
    radii = jax.random.uniform(radius_key, (CHECKPOINTS,), minval=TRACK_RADIUS / 3, maxval=TRACK_RADIUS)
    angles = angles.at[0].set(0.0).at[-1].set(sector * (CHECKPOINTS - 1))
    return angles, radii.at[jnp.array([0, -1])].set(1.5 * TRACK_RADIUS)


def _wrap_down(angle: jax.Array, limit: float) -> jax.Array:
    """Returns the multiple of 2 pi to subtract from an angle above `limit`."""
    return 2 * jnp.pi * jnp.maximum(jnp.ceil((angle - limit) / (2 * jnp.pi)), 0)


def _walk(angles: jax.Array, radii: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Returns WALK points: polar angle, road angle (both (WALK,)), position (WALK, 2), and a mask of the valid ones."""
    goals_x, goals_y = radii * jnp.cos(angles), radii * jnp.sin(angles)

    def step(walker, _):
        x, y, heading, goal, laps, below = walker
        alpha = jnp.arctan2(y, x)
        crossed = below & (alpha > 0)
        walking, laps = laps < LAPS, laps + crossed
        below = (below & ~crossed) | (alpha < 0)
        alpha = jnp.where(alpha < 0, alpha + 2 * jnp.pi, alpha)
        # Angles ascend, so the checkpoints ahead are the last ones; if none is left, a new lap begins at the first.
        ahead = ((alpha <= angles) & (jnp.arange(CHECKPOINTS) >= goal)).sum()
        alpha = jnp.where(ahead == 0, alpha - 2 * jnp.pi, alpha)
        goal = (CHECKPOINTS - ahead) % CHECKPOINTS
        cos, sin = jnp.cos(heading), jnp.sin(heading)
        offset = SCALE * (cos * (goals_x[goal] - x) + sin * (goals_y[goal] - y))
        heading -= _wrap_down(heading - alpha, 1.5 * jnp.pi)
        heading += _wrap_down(alpha - heading, 1.5 * jnp.pi)
        turn = jnp.where(jnp.abs(offset) > 0.3, jnp.clip(0.001 * offset, -TURN_RATE, TURN_RATE), 0.0)
        x, y = x - sin * TILE_LENGTH, y + cos * TILE_LENGTH
        point = (alpha, heading - 0.5 * turn, jnp.stack([x, y]), walking)
        return (x, y, heading - turn, goal, laps, below), point

    start = (jnp.float32(1.5 * TRACK_RADIUS), jnp.float32(0), jnp.float32(0), jnp.int32(0), jnp.int32(0), False)
    return jax.lax.scan(step, start, length=WALK)[1]


def track_through(angles: jax.Array, radii: jax.Array) -> tuple[Track, jax.Array]:
    """Returns the track through checkpoints (CHECKPOINTS,), and whether it is valid.

    It is invalid if the walk closes no lap, if the ends of the lap are apart, or if it has too many tiles.
    """
    alpha, angle, centre, walked = _walk(angles, radii)
    numbers = jnp.arange(WALK)
    begins = walked & (numbers > 0) & (alpha > START_ALPHA) & (jnp.roll(alpha, 1) <= START_ALPHA)
    end = jnp.where(begins, numbers, -1).max()
    start = jnp.where(begins & (numbers < end), numbers, -1).max()
    count = end - 1 - start
    rows = jnp.minimum(start + jnp.arange(MAX_TILES), WALK - 1)
    angle, centre = angle[rows], centre[rows]
    # gymnasium scales the components of the gap between the ends by the first tile's direction.
    gap = (centre[0] - centre[count - 1]) * jnp.stack([jnp.cos(angle[0]), jnp.sin(angle[0])])
    closed = (start > 0) & (jnp.linalg.norm(gap) <= TILE_LENGTH)
    track, fits = lay_tiles(count, angle, centre)
    return track, closed & fits & (count <= MAX_TILES)


def make_track(key: jax.Array) -> Track:
    """Draws a random track: checkpoints are drawn again until the track is valid (about one in fifteen is not)."""

    def attempt(state):
        next_key, draw_key = jax.random.split(state[0])
        return next_key, *track_through(*draw_checkpoints(draw_key))

    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(attempt, (key,))[1:])
    return jax.lax.while_loop(lambda state: ~state[2], attempt, (key, *blank))[1]
