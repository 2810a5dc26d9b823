"""Frames of CarRacing: gymnasium's, the book's, and large ones for videos.

A frame consists of the ground (one look-up in the scene's raster per pixel), the car (anti-aliased, within the few
pixels that it can cover) and a panel of indicators. Each pixel is the mean over its area. There are two differences
from gymnasium. The score is not drawn: it is not part of the car's state, and gymnasium 1.3 prints it as a float of up
to 18 digits that hide the bars of speed and wheels. Tiles keep their shade (2 or 5 of 255) when the car touches them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.envs.car_racing.car import FPS, Car, hull_position, hull_velocity
from gdl_jax.envs.car_racing.overlays import FOOT, ZOOM, Window, car_patch, panel
from gdl_jax.envs.car_racing.scene import SHADES, SQUARES, Scene, look_up
from gdl_jax.envs.car_racing.simulation import Dynamic
from gdl_jax.envs.car_racing.track import SCALE

FAR_ZOOM = 0.1 * SCALE  # initial zoom of gymnasium's camera, which approaches ZOOM in the first second
SHADE = 2.55  # difference in brightness between successive shades of the road
BORDER_WIDTH = 8.0 / SCALE
GLIDING = 0.5  # speed above which the book's camera follows the direction of motion, not that of the car
GYMNASIUM, BOOK = Window(1000, 800), Window(1200, 1000)
# Rounding losses of a channel. pygame's smoothscale, which shrinks gymnasium's window, rounds down once per axis: 102
# becomes 100. The book's OpenGL rounds to the nearest integer.
SMOOTHSCALE_LOSS, OPENGL_LOSS = 2.25, 0.0
SCORE = np.s_[..., 56:, :18, :]  # of a 64x64 frame: where gymnasium prints the score, over the bars of speed and wheels


class Camera(NamedTuple):
    """The map from pixels to the world: the centre of pixel (row, column) is at corner + row * down + column * across.

    Attributes:
      corner, across, down: (2,).
    """

    corner: jax.Array
    across: jax.Array
    down: jax.Array


def camera_above(
    position: jax.Array, heading: jax.Array, zoom: jax.Array | float, window: Window, shape: tuple[int, int]
) -> Camera:
    """Returns the view of a car at `position` (2,), with the direction (-sin, cos) of `heading` pointing up.

    Args:
      zoom: (), window pixels per unit of length.
      shape: rows and columns of the frame.
    """
    rows, columns = shape
    cos, sin = jnp.cos(heading), jnp.sin(heading)
    across = window.width / columns / zoom * jnp.stack([cos, sin])
    down = window.height / rows / zoom * jnp.stack([sin, -cos])
    corner = position + (0.5 - 0.5 * columns) * across + (0.5 - (1 - FOOT) * rows) * down
    return Camera(corner, across, down)


def _share(inwards: jax.Array) -> jax.Array:
    """Returns the share of a pixel inside an edge; its centre is `inwards` pixels inside (negative: outside)."""
    return jnp.clip(0.5 + inwards, 0, 1)


def _stripes(place: jax.Array, period: jax.Array) -> jax.Array:
    """Returns the share of a pixel covered by stripes, which take up the first half of each period.

    Args:
      place: centre of the pixel, in periods.
      period: in pixels.
    """
    place = place - 0.25
    return _share(period * (0.25 - jnp.abs(place - jnp.round(place))))


def _ground(scene: Scene, camera: Camera, rows: range, columns: range) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns red, green and blue, each (H, W) from 0 to 255, of the ground in a rectangle of the frame."""
    row, column = np.array(rows, np.float32)[:, None], np.array(columns, np.float32)
    x, y = (camera.corner[k] + row * camera.down[k] + column * camera.across[k] for k in (0, 1))
    # gymnasium's pixels are 1.25 times as wide as high, the book's 1.2 times; squares of the same area stand for them.
    scale = jax.lax.rsqrt(jnp.linalg.norm(camera.across) * jnp.linalg.norm(camera.down))  # pixels per unit of length

    place = look_up(scene, x, y)
    road = _share(place.distance * scale)
    border = place.bordered * (_share((place.distance + BORDER_WIDTH) * scale) - road)
    white = border * _stripes(0.5 * place.phase, 2 * scale / place.pace)
    tile = jnp.floor(place.phase)
    shade = tile - SHADES * jnp.floor((tile + 0.5) * (1 / SHADES))

    period = 2 * scene.playfield / SQUARES
    inside = _share((scene.playfield - jnp.maximum(jnp.abs(x), jnp.abs(y))) * scale)
    meadow = inside * (1 - road - border)
    grass = meadow * _stripes(x * (1 / period), period * scale) * _stripes(y * (1 / period), period * scale)

    colours = scene.colours
    light = SHADE * road * shade
    channels = (
        meadow * colours.background[k]
        + grass * (colours.grass - colours.background)[k]
        + (road * colours.road[k] + light)
        + 255.0 * (border if k == 0 else white)
        for k in range(3)
    )
    return tuple(channels)


def _pack(channels, loss: float) -> jax.Array:
    """Rounds channels (H, W), 0 to 255, and packs them into the low three bytes of (H, W) uint32, red lowest."""
    # Adding 2^23 to a float32 puts its integer part into the lowest bits, which is faster than a conversion.
    whole = (jnp.maximum(channel - loss, 0) + 2.0**23 for channel in channels)
    red, green, blue = (jax.lax.bitcast_convert_type(channel, jnp.uint32) & 0xFF for channel in whole)
    return red | green << 8 | blue << 16


def _draw(
    scene: Scene,
    car: Car,
    zoom: jax.Array | float,
    window: Window,
    shape: tuple[int, int],
    loss: float,
    heading: jax.Array | None = None,
) -> jax.Array:
    """Returns a frame, (rows, columns) uint32 with red in the lowest byte; `heading` () is up, by default the car's."""
    turn = None if heading is None else car.angle - heading
    camera = camera_above(hull_position(car), car.angle if heading is None else heading, zoom, window, shape)
    # The ground fills all rows, and the panel overwrites the lowest: concatenating two parts is slower.
    frame = _pack(_ground(scene, camera, range(shape[0]), range(shape[1])), loss)
    bars = _pack(panel(car, window, shape), loss)
    frame = frame.at[-len(bars) :].set(bars)

    patch = car_patch(car, window, shape, zoom, turn)
    height, width = patch.keep.shape
    rows, columns = range(patch.row, patch.row + height), range(patch.column, patch.column + width)
    below = _ground(scene, camera, rows, columns)
    pixels = _pack([patch.keep * old + new for old, new in zip(below, patch.add, strict=True)], loss)
    return frame.at[rows.start : rows.stop, columns.start : columns.stop].set(pixels)


def _bytes(frame: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(frame, jnp.uint8)[..., :3]


def opening_zoom(time: jax.Array) -> jax.Array:
    """Returns gymnasium's zoom, `time` () seconds after the reset; it increases during the first second."""
    return FAR_ZOOM * jnp.maximum(1 - time, 0) + ZOOM * jnp.minimum(time, 1)


def draw_gymnasium(scene: Scene, car: Car, time: jax.Array) -> jax.Array:
    """Returns gymnasium's observation without the score, (96, 96, 3) uint8.

    Args:
      time: (), seconds; 0.02 in gymnasium after a reset, which takes one step.
    """
    return _bytes(_draw(scene, car, opening_zoom(time), GYMNASIUM, (96, 96), SMOOTHSCALE_LOSS))


def draw_gymnasium64(scene: Scene, car: Car, time: jax.Array) -> jax.Array:
    """Returns gymnasium's observation after `shrink`, (64, 64, 3) uint8, to train agents that can drive there."""
    frame = _draw(scene, car, opening_zoom(time), GYMNASIUM, (64, 64), SMOOTHSCALE_LOSS)
    return _bytes(frame.at[SCORE[1:3]].set(0))


def shrink(frames: np.ndarray) -> np.ndarray:
    """Shrinks gymnasium's observations (..., 96, 96, 3) uint8 to (..., 64, 64, 3) and blackens the score.

    Each new pixel is the mean over its area of 1.5 by 1.5 old ones. The score is removed because it is printed over the
    bars of speed and wheels, in a format that differs between versions of gymnasium.
    """
    sums = frames.astype(np.uint16)
    for axis in (-3, -2):
        first, middle, last = (np.take(sums, np.arange(k, sums.shape[axis], 3), axis) for k in range(3))
        pairs = np.stack([2 * first + middle, middle + 2 * last], axis)
        shape = list(sums.shape)
        shape[axis] = 64
        sums = pairs.reshape(shape)
    small = ((sums + 4) // 9).astype(np.uint8)
    small[SCORE] = 0
    return small


def draw_book(scene: Scene, car: Car) -> jax.Array:
    """Returns the observation of the book's copy of the game (08_WorldModels) without the score, (64, 64, 3) uint8.

    Its zoom is constant, its window is 1200 by 1000, and its camera follows the direction of motion once the car moves.
    OpenGL samples the colour at the centre of each pixel; here it is the mean over the pixel.
    """
    x, y = hull_velocity(car)
    heading = jnp.where(jnp.square(x) + jnp.square(y) > GLIDING**2, -jnp.arctan2(x, y), car.angle)
    return _bytes(_draw(scene, car, ZOOM, BOOK, (64, 64), OPENGL_LOSS, heading))


def draw_view(scene: Scene, car: Car, time: jax.Array, height: int = 400, width: int = 600) -> jax.Array:
    """Returns gymnasium's view for videos, (height, width, 3) uint8; both sizes are static."""
    return _bytes(_draw(scene, car, opening_zoom(time), GYMNASIUM, (height, width), OPENGL_LOSS))


def _seconds(now: Dynamic) -> jax.Array:
    return (now.time + 1) / FPS  # gymnasium's reset takes one step itself


# name -> shape, (scene, dynamic state) -> frame
PICTURES: Mapping[str, tuple[tuple[int, int, int], Callable[[Scene, Dynamic], jax.Array]]] = {
    "gymnasium": ((96, 96, 3), lambda scene, now: draw_gymnasium(scene, now.car, _seconds(now))),
    "gymnasium64": ((64, 64, 3), lambda scene, now: draw_gymnasium64(scene, now.car, _seconds(now))),
    "book": ((64, 64, 3), lambda scene, now: draw_book(scene, now.car)),
}
