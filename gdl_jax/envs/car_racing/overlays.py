"""Foreground of a frame of CarRacing: the car, and the black panel of indicators at the bottom.

Both are anti-aliased: pixels are weighted by the share that a shape covers. Positions are in pixels of the window, each
smaller than a pixel of the frame. As in pygame, a shape extends half a window pixel beyond its outline.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.envs.car_racing.car import SIZE, WHEEL_HALF_SIZE, WHEEL_X, WHEEL_Y, Car, hull_velocity
from gdl_jax.envs.car_racing.track import SCALE

HULL = (
    ((-60, 130), (60, 130), (60, 110), (-60, 110)),
    ((-15, 120), (15, 120), (20, 20), (-20, 20)),
    ((25, 20), (50, -10), (50, -40), (20, -90), (-20, -90), (-50, -40), (-50, -10), (-25, 20)),
    ((-50, -120), (50, -120), (50, -90), (-50, -90)),
)  # in units of SIZE, relative to the hull's origin; y points forwards
HULL_RED = 204.0
STRIPE_GREY = 77.0
STRIPE_ANGLE = 1.2  # radians, width of the grey stripe on a wheel
ZOOM = 2.7 * SCALE  # largest zoom, in window pixels per unit of length
FOOT = 0.25  # height of the car above the lower edge of the window, in window heights
UPRIGHT_REACH = (2.65, 1.6)  # extent of an upright car, vertically and horizontally
TURNED_REACH = (2.9, 2.9)  # extent of a turned car
SPOTS = 4  # samples per pixel along each axis, for anti-aliasing the car
OUTLINE = 0.5  # window pixels by which a shape extends beyond its outline
INVISIBLE = 1e-4  # smaller values of an indicator are not drawn
PANEL = 1 / 8  # height of the panel, in window heights
PANEL_UNITS = 40  # units of the panel per window width and per window height


class Window(NamedTuple):
    """Size in pixels of the window that a frame is a reduced picture of."""

    width: int
    height: int


class Patch(NamedTuple):
    """A rectangle of a frame's pixels to draw, with its upper left corner at `row`, `column`.

    Attributes:
      keep: (h, w), share of the background that stays visible.
      add: red, green and blue to add, each (h, w), 0 to 255.
    """

    row: int
    column: int
    keep: jax.Array
    add: tuple[jax.Array, jax.Array, jax.Array]


def _half_planes(corners: tuple) -> list[tuple[float, float, float]]:
    """Returns (a, b, c) of a convex polygon's edges in world units: a x + b y <= c inside; (a, b) has length 1."""
    corners = SIZE * np.array(corners, np.float64)
    along = np.roll(corners, -1, axis=0) - corners
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    if ((corners.mean(axis=0) - corners) * normal).sum(axis=1).max() > 0:
        normal = -normal
    return [(float(a), float(b), float(a * x + b * y)) for (a, b), (x, y) in zip(normal, corners, strict=True)]


HULL_HALF_PLANES = [_half_planes(corners) for corners in HULL]


def _on_hull(x: jax.Array, y: jax.Array, margin: jax.Array) -> jax.Array:
    parts = [jnp.stack([a * x + b * y - c for a, b, c in planes]).max(axis=0) for planes in HULL_HALF_PLANES]
    return jnp.stack(parts).min(axis=0) <= margin


def _stripe(phase: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns both ends of the visible grey stripe along each wheel, in radii; the first is larger if it is hidden."""
    below = [jnp.sin(phase + turn) <= 0 for turn in (0.0, STRIPE_ANGLE)]
    cosines = [jnp.cos(phase + turn) for turn in (0.0, STRIPE_ANGLE)]
    ends = [jnp.where(seen, cosine, jnp.sign(cosine)) for seen, cosine in zip(below, cosines, strict=True)]
    shown = below[0] | below[1]
    return jnp.where(shown, jnp.minimum(*ends), 2.0), jnp.where(shown, jnp.maximum(*ends), -2.0)


def _on_wheels(car: Car, x: jax.Array, y: jax.Array, margin: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns whether points in the car's coordinates are on a wheel, and whether they are on a stripe."""
    half_x, half_y = WHEEL_HALF_SIZE
    cos, sin = jnp.cos(car.joint_angle), jnp.sin(car.joint_angle)
    first, last = _stripe(car.wheel_phase)
    wheels, stripes = [], []
    for k in range(4):
        across = cos[k] * (x - WHEEL_X[k]) + sin[k] * (y - WHEEL_Y[k])
        along = cos[k] * (y - WHEEL_Y[k]) - sin[k] * (x - WHEEL_X[k])
        beside = jnp.abs(across) <= half_x + margin
        wheels.append(beside & (jnp.abs(along) <= half_y + margin))
        stripes.append(beside & (along >= half_y * first[k] - margin) & (along <= half_y * last[k] + margin))
    return functools.reduce(jnp.logical_or, wheels), functools.reduce(jnp.logical_or, stripes)


def _spots(window: Window, shape: tuple[int, int], reach: tuple[float, float]):
    """Returns the pixels of the frame within `reach` of the car, and the sampling points in them.

    Returns:
      First row and column; numbers of rows and columns; x (to the right) and y (up) of the sampling points from the
      car's origin, each (SPOTS * SPOTS, rows * columns), in pixels of the window.
    """
    scale = np.array([window.height, window.width]) / shape
    middle = np.array([1 - FOOT, 0.5]) * shape
    extent = (ZOOM * np.array(reach) + OUTLINE) / scale
    first, last = np.floor(middle - extent).astype(int), np.ceil(middle + extent).astype(int)
    size = last - first
    row, column, spot_row, spot_column = np.ogrid[: size[0], : size[1], :SPOTS, :SPOTS]
    y = scale[0] * (middle[0] - first[0] - row - (spot_row + 0.5) / SPOTS)
    x = scale[1] * (column + first[1] + (spot_column + 0.5) / SPOTS - middle[1])
    x, y = (np.float32(places).reshape(size.prod(), -1).T for places in np.broadcast_arrays(x, y))
    return first, size, x, y


def car_patch(
    car: Car, window: Window, shape: tuple[int, int], zoom: jax.Array | float, turn: jax.Array | None
) -> Patch:
    """Draws the car, with the hull's origin at half the frame's width and FOOT of its height above the lower edge.

    Args:
      shape: rows and columns of the frame.
      zoom: (), window pixels per unit of length, up to ZOOM.
      turn: (), radians by which the car points to the left of up; None if it always points up.
    """
    first, size, x, y = _spots(window, shape, UPRIGHT_REACH if turn is None else TURNED_REACH)
    x, y, margin = x / zoom, y / zoom, OUTLINE / zoom
    if turn is not None:
        cos, sin = jnp.cos(turn), jnp.sin(turn)
        x, y = cos * x + sin * y, cos * y - sin * x
    hull = _on_hull(x, y, margin)
    wheels, stripes = _on_wheels(car, x, y, margin)
    shown = hull, wheels | hull, stripes & ~hull
    hull, covered, stripes = (spots.astype(jnp.float32).mean(axis=0).reshape(size) for spots in shown)
    grey = STRIPE_GREY * stripes
    return Patch(*(int(place) for place in first), 1 - covered, (HULL_RED * hull + grey, grey, grey))


def _interval(low: jax.Array | float, high: jax.Array | float, pixels: int, size: float) -> jax.Array:
    """Returns the share of each of `pixels` pixels of `size` that an interval, rounded outwards, covers."""
    low, high = jnp.floor(jnp.minimum(low, high)) / size, (jnp.floor(jnp.maximum(low, high)) + 1) / size
    edges = jnp.arange(pixels)
    return jnp.clip(jnp.minimum(high, edges + 1) - jnp.maximum(low, edges), 0, 1)


def panel(car: Car, window: Window, shape: tuple[int, int]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Draws a frame's lowest rows, with bars for speed, wheel speeds, steering and spin: red, green, blue, each (h, W).

    Args:
      shape: rows and columns of the frame.
    """
    rows, columns = round(PANEL * shape[0]), shape[1]
    tall, wide = window.height / shape[0], window.width / columns
    unit_x, unit_y = window.width / PANEL_UNITS, window.height / PANEL_UNITS
    foot = PANEL * window.height  # lower edge of the panel, from its upper edge

    def upright(place, value):
        across = _interval(place * unit_x, (place + 1) * unit_x, columns, wide)
        return _interval(foot - unit_y * (1 + value), foot - unit_y, rows, tall), across

    def level(place, value):
        along = _interval(place * unit_x, (place + value) * unit_x, columns, wide)
        return _interval(foot - 4 * unit_y, foot - 2 * unit_y, rows, tall), along

    speed = jnp.linalg.norm(hull_velocity(car))
    omega, steering = car.wheel_omega, car.joint_angle[0]
    bars = [
        (speed, upright(5, 0.02 * speed), (255, 255, 255)),
        (omega[0], upright(7, 0.01 * omega[0]), (0, 0, 255)),
        (omega[1], upright(8, 0.01 * omega[1]), (0, 0, 255)),
        (omega[2], upright(9, 0.01 * omega[2]), (51, 0, 255)),
        (omega[3], upright(10, 0.01 * omega[3]), (51, 0, 255)),
        (steering, level(20, -10.0 * steering), (0, 255, 0)),
        (car.spin, level(30, -0.8 * car.spin), (255, 0, 0)),
    ]
    channels = [jnp.zeros((rows, columns))] * 3
    for value, (down, across), colour in bars:
        share = jnp.where(jnp.abs(value) > INVISIBLE, down, 0)[:, None] * across
        channels = [old + new * share if new else old for old, new in zip(channels, colour, strict=True)]
    return tuple(jnp.minimum(channel, 255.0) for channel in channels)
