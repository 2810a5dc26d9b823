"""A track laid out as a raster, made once, so that drawing a frame takes one look-up for each pixel.

A texel does not hold a colour. It holds how far its middle is from the edge of the road, in which direction that edge
lies, and how far along the road it is; near the texel all of these change linearly. So edges come out sharp, and
smooth, at any zoom, although texels are larger than a frame's pixels, and no copies at lower resolutions are needed.
The ground's colours and the meadow's pattern come in when a frame is drawn. A track takes 1.1 MB.
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
SHAPE = 464, 576  # texels along y and x: 348 by 432, around the track (the largest of 1,500 was 332 by 412)
REACH = 6.0  # beyond the road's edge up to which texels know of it
WINDOW = 32.0  # side of a square around a tile that holds all within its reach
SQUARES = 20  # of the meadow's pattern from its middle to its edge, every other one of which is grass
SHADES = 3  # of the road, tile by tile
PHASES = 2 * SHADES  # tiles after which the road repeats: borders are white and red in turn

# Bits of a texel's fields, the lowest first, and the value of a field's 0 and of 1 more. Distances are compared as
# they are stored, which is why they come first.
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
    """A track and its surroundings, as they are drawn.

    Attributes:
      texels: (H * W,) uint32 row by row, or (P * H * W,) after `choose`.
      start: () int32, where in `texels` this scene's begin.
      origin: (2,), the raster's corner of least x and y.
      colours: of the ground.
      playfield: (), half the side of the meadow; beyond it all is black.
    """

    texels: jax.Array
    start: jax.Array
    origin: jax.Array
    colours: Colours
    playfield: jax.Array


@struct.dataclass
class Place:
    """What is known of places in the world; all arrays of one shape.

    Attributes:
      distance: to the edge of the road, positive on the road, about -8 far from it.
      inwards_x, inwards_y: the direction in which it grows.
      phase: tiles along the road, modulo PHASES.
      pace: phase for each unit of length along the edge; tiles are shorter on the inside of a turn.
      left: 1 where the edge is the left one, else 0.
      bordered: 1 where the edge has a border, else 0.
    """

    distance: jax.Array
    inwards_x: jax.Array
    inwards_y: jax.Array
    phase: jax.Array
    pace: jax.Array
    left: jax.Array
    bordered: jax.Array


def rasterise(track: Track, colours: Colours, playfield: float | jax.Array) -> Scene:
    """The scene of a track; of many tracks, with `jax.lax.map`, which is faster here than `jax.vmap`."""
    ends = jnp.concatenate([track.left, track.right])
    origin = 0.5 * (ends.min(axis=0) + ends.max(axis=0) - TEXEL * np.array(SHAPE[::-1]))
    size = int(WINDOW / TEXEL)
    here = (0.5 + np.arange(size)) * TEXEL

    def lay(raster, tile):
        number, border, *corners = tile
        middle = sum(corners) / 4
        first = jnp.round((middle - origin - 0.5 * WINDOW) / TEXEL).astype(jnp.int32)
        first = jnp.clip(first, 0, np.array(SHAPE[::-1]) - size)  # of a track too large for the raster, some is cut
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
    raster = jnp.zeros_like(raster).at[1:-1, 1:-1].set(raster[1:-1, 1:-1])  # the rim stands for all beyond it
    return Scene(raster.ravel(), jnp.int32(0), origin, colours, jnp.float32(playfield))


def _around_tile(number, border, left, right, back_left, back_right, x, y) -> tuple[Place, jax.Array]:
    """What tile `number` knows of places x (1, W), y (H, 1), and of which it does: those beside it, not too far."""
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
    """Distance of places to the right of the line from `start` (2,) to `end`, and the direction in which it grows."""
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

    signed = texels.astype(jnp.int32)  # from which CPUs convert faster; the mask takes off the sign's copies
    return Place(**{name: unpack(name) for name in _FIELDS})


def _stored_distance(texels: jax.Array) -> jax.Array:
    return texels & 2 ** _FIELDS["distance"][0] - 1


def look_up(scene: Scene, x: jax.Array, y: jax.Array) -> Place:
    """What is known of places x, y (H, W): what their texel knows, carried on to them."""
    column, row = (x - scene.origin[0]) * (1 / TEXEL), (y - scene.origin[1]) * (1 / TEXEL)
    texel_row, texel_column = jnp.floor(row), jnp.floor(column)
    index = jnp.clip(texel_row, 0, SHAPE[0] - 1) * SHAPE[1] + jnp.clip(texel_column, 0, SHAPE[1] - 1)
    place = _unpack(_gather(scene.texels, scene.start + index.astype(jnp.int32)))
    up, right = TEXEL * (row - texel_row - 0.5), TEXEL * (column - texel_column - 0.5)  # from the texel's middle
    inwards = place.inwards_x * right + place.inwards_y * up
    forwards = (place.inwards_x * up - place.inwards_y * right) * (2 * place.left - 1)
    return place.replace(distance=place.distance + inwards, phase=place.phase + place.pace * forwards)


def _gather(texels: jax.Array, index: jax.Array) -> jax.Array:
    """texels[index], in a loop that runs once.

    XLA would fuse the look-ups with what is computed from them, and cannot vectorise a loop with look-ups in it; it
    fuses nothing across a loop's end. On CPU a frame takes half the time, or less.
    """

    def body(state):
        return False, texels.at[state[1].astype(jnp.int32)].get(mode="promise_in_bounds")

    return jax.lax.while_loop(lambda state: state[0], body, (True, index.astype(jnp.uint32)))[1]


def choose(scenes: Scene, index: jax.Array) -> Scene:
    """Scene number `index` () of a pool whose arrays all have a leading axis P, at most 8,000.

    The texels stay one array for the whole pool, which cars mapped over their indices share; indexing it would copy
    a raster for every car.

    Raises:
      UserError: there are more, whose texels 32 bits cannot count.
    """
    if scenes.texels.size >= 2**31:
        raise UserError(f"{len(scenes.texels):,} tracks at a time are too many: at most 8,000")
    own = jax.tree.map(lambda leaf: leaf[index], scenes.replace(texels=scenes.start))
    start = index.astype(jnp.int32) * (SHAPE[0] * SHAPE[1])
    return own.replace(texels=scenes.texels.ravel(), start=start)
