"""A raster of a track, made once, so that drawing a frame takes one look-up per pixel.

A texel does not hold a colour. It holds the distance of its centre to the edge of the road, the direction of that edge,
and the position along the road; all of these are extrapolated linearly within the texel. Edges are therefore sharp and
smooth at any zoom, although texels are larger than a frame's pixels, and no mipmaps are needed. The colours and the
meadow's pattern are added when a frame is drawn. A track takes 1.1 MB.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from gdl_jax.core.errors import UserError
from gdl_jax.envs.car_racing.colours import Colours
from gdl_jax.envs.car_racing.track import TILE_LENGTH, Track, previous

TEXEL = 0.75  # side of a texel
SHAPE = 464, 576  # texels along y and x: 348 by 432 around the track (the largest of 1,500 tracks was 332 by 412)
REACH = 6.0  # distance from the road's edge up to which texels store it
WINDOW = 32.0  # side of a square around a tile that contains all texels within its REACH
SQUARES = 20  # periods of the meadow's pattern along each axis; each has one square of grass
SHADES = 3  # of the road, alternating by tile
PHASES = 2 * SHADES  # period of the road in tiles: borders are alternately white and red

# Fields of a texel from the lowest bits up: (bits, value of level 0, value of one level). The distance is first because
# stored distances are compared.
_FIELDS = {
    "distance": (9, -8.0, 1 / 32),
    "inwards_x": (6, -1.0, 1 / 31),
    "inwards_y": (6, -1.0, 1 / 31),
    "phase": (7, 0.0, PHASES / 128),
    "pace": (2, 0.5 / TILE_LENGTH, 0.5 / TILE_LENGTH),
    "left": (1, 0.0, 1.0),
    "bordered": (1, 0.0, 1.0),
}
_SHIFTS = dict(zip(_FIELDS, np.cumsum([0, *(bits for bits, _, _ in _FIELDS.values())]).tolist(), strict=False))


@struct.dataclass
class Scene:
    """A track and its surroundings, prepared for drawing.

    Attributes:
      texels: (H * W,) uint32 in row-major order, or (P * H * W,) after `choose`.
      start: () int32, index of this scene's first texel in `texels`.
      origin: (2,), the raster's corner with the smallest x and y.
      colours: of the ground.
      playfield: (), half the side of the meadow, which is surrounded by black.
    """

    texels: jax.Array
    start: jax.Array
    origin: jax.Array
    colours: Colours
    playfield: jax.Array


@struct.dataclass
class Place:
    """Position of points relative to the road; all arrays have one shape.

    Attributes:
      distance: to the edge of the road, positive on the road, about -8 far from it.
      inwards_x, inwards_y: the direction in which the distance increases.
      phase: position along the road in tiles, modulo PHASES.
      pace: increase of the phase per unit of length along the edge; tiles are shorter on the inside of a turn.
      left: 1 if the nearest edge is the left one, else 0.
      bordered: 1 if that edge has a border, else 0.
    """

    distance: jax.Array
    inwards_x: jax.Array
    inwards_y: jax.Array
    phase: jax.Array
    pace: jax.Array
    left: jax.Array
    bordered: jax.Array


def rasterise(track: Track, colours: Colours, playfield: float | jax.Array) -> Scene:
    """Returns the scene of a track. For many tracks use `jax.lax.map`, which is faster here than `jax.vmap`."""
    ends = jnp.concatenate([track.left, track.right])
    origin = 0.5 * (ends.min(axis=0) + ends.max(axis=0) - TEXEL * np.array(SHAPE[::-1]))
    size = int(WINDOW / TEXEL)
    here = (0.5 + np.arange(size)) * TEXEL

    def lay(raster, tile):
        number, border, *corners = tile
        middle = sum(corners) / 4
        first = jnp.round((middle - origin - 0.5 * WINDOW) / TEXEL).astype(jnp.int32)
        first = jnp.clip(first, 0, np.array(SHAPE[::-1]) - size)  # a track larger than the raster is cut off
        x, y = (origin[axis] + TEXEL * first[axis] + here for axis in (0, 1))
        place, known = _around_tile(number, border, *corners, x[None, :], y[:, None])
        place = jnp.where(known & (number < track.count), _pack(place), 0)
        first = first[1], first[0]
        old = jax.lax.dynamic_slice(raster, first, (size, size))
        nearer = _stored_distance(place) >= _stored_distance(old)
        return jax.lax.dynamic_update_slice(raster, jnp.where(nearer, place, old), first), None

    back = previous(track.left, track.count), previous(track.right, track.count)
    tiles = jnp.arange(len(track.left)), track.border, track.left, track.right, *back
    raster, _ = jax.lax.scan(lay, jnp.zeros(SHAPE, jnp.uint32), tiles)
    raster = jnp.zeros_like(raster).at[1:-1, 1:-1].set(raster[1:-1, 1:-1])  # the rim stands for all beyond
    return Scene(raster.ravel(), jnp.int32(0), origin, colours, jnp.float32(playfield))


def _around_tile(number, border, left, right, back_left, back_right, x, y) -> tuple[Place, jax.Array]:
    """Returns points x (1, W), y (H, 1) relative to tile `number`, and a mask of those on it or beside it in REACH."""
    from_left, left_x, left_y = _beyond(back_left, left, x, y)
    from_right, right_x, right_y = _beyond(right, back_right, x, y)
    passed, _, _ = _beyond(back_right, back_left, x, y)
    to_go, _, _ = _beyond(left, right, x, y)
    leftwards = from_left < from_right
    distance = jnp.minimum(from_left, from_right)
    inwards_x, inwards_y = jnp.where(leftwards, left_x, right_x), jnp.where(leftwards, left_y, right_y)
    pace = 1 / jnp.maximum(passed + to_go, 1e-6)
    phase = number % PHASES + passed * pace
    place = Place(distance, inwards_x, inwards_y, phase, pace, leftwards, border == jnp.where(leftwards, -1, 1))
    return place, (passed >= 0) & (to_go >= 0) & (distance > -REACH)


def _beyond(start, end, x, y):
    """Returns the distances of points to the right of the line from `start` (2,) to `end`, and their gradient."""
    along = end - start
    along = along / jnp.maximum(jnp.linalg.norm(along), 1e-6)
    right_x, right_y = along[1], -along[0]
    return right_x * (x - start[0]) + right_y * (y - start[1]), right_x, right_y


def _pack(place: Place) -> jax.Array:
    def pack(name):
        bits, least, step = _FIELDS[name]
        level = jnp.clip(jnp.round((getattr(place, name) - least) / step), 0, 2**bits - 1)
        return level.astype(jnp.uint32) << _SHIFTS[name]

    return functools.reduce(jnp.bitwise_or, map(pack, _FIELDS))


def _unpack(texels: jax.Array) -> Place:
    def unpack(name):
        bits, least, step = _FIELDS[name]
        return least + step * (signed >> _SHIFTS[name] & 2**bits - 1).astype(jnp.float32)

    signed = texels.astype(jnp.int32)  # CPUs convert int32 faster; the mask removes copies of the sign bit
    return Place(**{name: unpack(name) for name in _FIELDS})


def _stored_distance(texels: jax.Array) -> jax.Array:
    return texels & 2 ** _FIELDS["distance"][0] - 1


def look_up(scene: Scene, x: jax.Array, y: jax.Array) -> Place:
    """Returns the position of points x, y (H, W) relative to the road, extrapolated from their texels."""
    column, row = (x - scene.origin[0]) * (1 / TEXEL), (y - scene.origin[1]) * (1 / TEXEL)
    texel_row, texel_column = jnp.floor(row), jnp.floor(column)
    index = jnp.clip(texel_row, 0, SHAPE[0] - 1) * SHAPE[1] + jnp.clip(texel_column, 0, SHAPE[1] - 1)
    place = _unpack(_gather(scene.texels, scene.start + index.astype(jnp.int32)))
    up, right = TEXEL * (row - texel_row - 0.5), TEXEL * (column - texel_column - 0.5)  # from the texel's middle
    inwards = place.inwards_x * right + place.inwards_y * up
    forwards = (place.inwards_x * up - place.inwards_y * right) * (2 * place.left - 1)
    return place.replace(distance=place.distance + inwards, phase=place.phase + place.pace * forwards)


def _gather(texels: jax.Array, index: jax.Array) -> jax.Array:
    """Returns texels[index], computed in a loop that runs once.

    XLA would fuse the look-ups with the computations on their results, and cannot vectorise the fused loop; it never
    fuses across the end of a loop. On CPUs this halves the time per frame, or better.
    """

    def body(state):
        return False, texels.at[state[1].astype(jnp.int32)].get(mode="promise_in_bounds")

    return jax.lax.while_loop(lambda state: state[0], body, (True, index.astype(jnp.uint32)))[1]


def choose(scenes: Scene, index: jax.Array) -> Scene:
    """Returns scene `index` () of a pool whose arrays all have a leading axis P, at most 8,000.

    The texels stay one array for the whole pool, shared by cars that are vmapped over their indices; indexing it would
    copy a raster per car.

    Raises:
      UserError: the pool is larger, so that 32 bits cannot index its texels.
    """
    if scenes.texels.size >= 2**31:
        raise UserError(f"{len(scenes.texels):,} tracks in one pool; at most 8,000 are supported")
    own = jax.tree.map(lambda leaf: leaf[index], scenes.replace(texels=scenes.start))
    start = index.astype(jnp.int32) * (SHAPE[0] * SHAPE[1])
    return own.replace(texels=scenes.texels.ravel(), start=start)
