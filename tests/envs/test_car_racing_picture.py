"""Frames, compared with a painted world: a straight road, sampled at many points per pixel. Needs no gymnasium."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.envs.car_racing import picture
from gdl_jax.envs.car_racing.car import Car, hull_position
from gdl_jax.envs.car_racing.colours import Colours, default_colours, random_colours
from gdl_jax.envs.car_racing.scene import choose, rasterise
from gdl_jax.envs.car_racing.track import MAX_TILES, lay_tiles

TILES = 60
BORDERED = range(28, 34)  # tiles with a border on the right
PLAYFIELD = 2000 / 6
SAMPLES = 8  # per pixel along each axis


def straight_track(angle, tiles=TILES):
    """Returns a road from the centre of the world in the direction of `angle`."""
    along = 3.5 * np.arange(MAX_TILES)[:, None] * [-np.sin(angle), np.cos(angle)]
    track, _ = jax.jit(lay_tiles)(
        jnp.int32(tiles), jnp.full(MAX_TILES, angle, jnp.float32), jnp.asarray(along, jnp.float32)
    )
    numbers = np.arange(MAX_TILES)
    return track.replace(border=jnp.asarray(np.isin(numbers, BORDERED), jnp.int8))


def car_at(x, y, angle, **changes):
    """Returns a car at rest with the hull's origin at (x, y)."""
    still = {name: jnp.zeros(4) for name in ("wheel_omega", "wheel_phase", "joint_angle")}
    car = Car(jnp.zeros(2), jnp.float32(angle), jnp.zeros(2), jnp.float32(0), **still, gas=jnp.float32(0))
    car = car.replace(position=jnp.array([x, y], jnp.float32) - hull_position(car))
    return car.replace(**changes)


def paint_world(x, y, angle):
    """Returns the colours (..., 3) of points of the world with the straight track."""
    across, along = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    colours = np.empty((*x.shape, 3))
    square = PLAYFIELD / 20
    colours[:] = 102, 204, 102
    colours[(np.floor(x / square) % 2 == 0) & (np.floor(y / square) % 2 == 0)] = 102, 230, 102
    colours[(np.abs(x) > PLAYFIELD) | (np.abs(y) > PLAYFIELD)] = 0
    tile = np.ceil(along / 3.5).astype(int)  # tile i ends at point i
    road = (np.abs(across) < 40 / 6) & (along > 0) & (tile < TILES)
    colours[road] = 102 + 2.55 * (tile[road] % 3)[:, None]
    border = (across > 40 / 6) & (across < 48 / 6) & np.isin(tile, BORDERED)
    colours[border] = np.where((tile[border] % 2 == 0)[:, None], (255, 255, 255), (255, 0, 0))
    return colours


def paint_frame(position, heading, zoom, window, shape, angle):
    """Returns the rows above the panel, (7/8 rows, columns, 3) float64, without the car."""
    (width, height), (rows, columns) = window, shape
    spots = (np.arange(SAMPLES) + 0.5) / SAMPLES
    row = (np.arange(rows * 7 // 8)[:, None] + spots).ravel()[:, None] * height / rows
    column = (np.arange(columns)[:, None] + spots).ravel() * width / columns
    right, up = (column - width / 2) / zoom, (0.75 * height - row) / zoom
    x = position[0] + np.cos(heading) * right - np.sin(heading) * up
    y = position[1] + np.sin(heading) * right + np.cos(heading) * up
    colours = paint_world(x, y, angle)
    return colours.reshape(len(row) // SAMPLES, SAMPLES, columns, SAMPLES, 3).mean(axis=(1, 3))


@functools.cache
def scene_of(angle):
    return jax.jit(rasterise)(straight_track(angle), default_colours(), PLAYFIELD)


def difference(frame, expected, shape):
    """Returns the absolute difference above the panel, ignoring the car's surroundings."""
    rows, columns = shape
    apart = np.abs(np.asarray(frame, np.float64)[: len(expected)] - expected)
    apart[int(0.66 * rows) : int(0.84 * rows), int(0.44 * columns) : int(0.56 * columns)] = 0
    return apart


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.4])
@pytest.mark.parametrize("place", [(0.0, 84.0), (-5.0, 100.0), (9.0, 40.0)])
def test_ground_matches_a_painted_world(angle, place):
    across, along = place
    position = across * np.cos(angle) - along * np.sin(angle), across * np.sin(angle) + along * np.cos(angle)
    heading = angle + 0.2
    frame = jax.jit(picture.draw_view, static_argnums=(3, 4))(scene_of(angle), car_at(*position, heading), 1.5, 96, 96)
    expected = paint_frame(position, heading, 16.2, (1000, 800), (96, 96), angle)
    apart = difference(frame, expected, (96, 96))
    assert apart.mean() < 0.4
    assert np.quantile(apart, 0.995) < 12


def test_edges_of_a_straight_road_are_in_the_right_columns():
    """Checks the pixels of a row against the geometry of the road.

    The road's edges are 40 / 6 = 6.667 from its middle, 108 of the window's 1,000 columns from column 500. They are at
    96 / 1000 * (392, 608) = 37.63 and 58.37 of the frame's 96 columns, so columns 37 and 58 are 37 % road.
    """
    frame = jax.jit(picture.draw_gymnasium)(scene_of(0.0), car_at(0.0, 56.0, 0.0), 2.0)
    # The middle of this row is at 56 + (600 - 6.5 * 800 / 96) / 16.2 = 89.7: tile 26, shade 2, no grass square.
    row = np.asarray(frame[6], np.float64)
    road = 107 - 2  # gymnasium's frames are 2 darker than the nominal colours
    np.testing.assert_allclose(row[38:58], road, atol=1)
    np.testing.assert_allclose(row[[37, 58], 1], 0.37 * road + 0.63 * 202, atol=5)
    np.testing.assert_array_equal(row[[*range(37), *range(59, 96)]], [[100, 202, 100]] * 74)
    np.testing.assert_allclose(frame[84:, :, 1][:, :48], 0, atol=0)  # no bars, as nothing moves


@pytest.mark.slow
def test_tiles_and_borders_have_straight_edges():
    """Draws a close view, in which a texel is 7 by 6 pixels."""
    shape, position = (400, 600), (-84 * np.sin(0.7), 84 * np.cos(0.7))
    frame = jax.jit(picture.draw_view)(scene_of(0.7), car_at(*position, 0.8), 1.0)
    expected = paint_frame(position, 0.8, 16.2, (1000, 800), shape, 0.7)
    apart = difference(frame, expected, shape)
    grey = (np.ptp(expected, axis=-1) == 0) & (expected[..., 0] > 0) & (expected[..., 0] < 200)
    assert grey.mean() > 0.2
    assert apart[grey].mean() < 0.3
    painted = (expected[..., 0] > 250) & np.isin(expected[..., 1], (0, 255))
    assert painted.sum() > 1000
    assert (apart[painted].max(axis=-1) > 20).mean() < 0.06


def test_first_frames_show_the_edge_of_the_playfield():
    zoom = 0.6 * (1 - 0.02) + 16.2 * 0.02
    frame = jax.jit(picture.draw_gymnasium)(scene_of(0.3), car_at(225.0, 30.0, 0.2), 0.02)
    expected = paint_frame((225.0, 30.0), 0.2, zoom, (1000, 800), (96, 96), 0.3)
    assert (expected == 0).all(axis=-1).mean() > 0.2
    assert difference(frame, np.maximum(expected - 2, 0), (96, 96)).mean() < 1.0


def test_book_camera_follows_the_direction_of_motion():
    """A car at angle 0.9 that slides towards 0.2 is seen from 0.2 if it is faster than 0.5."""
    way = np.array([-np.sin(0.2), np.cos(0.2)])
    scene, draw = scene_of(0.1), jax.jit(picture.draw_book)
    for speed, heading in ((20.0, 0.2), (0.6, 0.2), (0.4, 0.9)):
        frame = draw(scene, car_at(2.0, 84.0, 0.9, velocity=jnp.asarray(speed * way, jnp.float32)))
        expected = paint_frame((2.0, 84.0), heading, 16.2, (1200, 1000), (64, 64), 0.1)
        assert difference(frame, expected, (64, 64)).mean() < 0.5, speed


def test_book_draws_a_sliding_car_turned():
    """The red nose, 2.4 ahead of the origin, is 2.4 sin(0.9) = 1.9 to the left."""
    sliding = car_at(0.0, 40.0, 0.9, velocity=jnp.array([0.0, 20.0]))
    frame = np.asarray(jax.jit(picture.draw_book)(scene_of(0.0), sliding), np.int32)
    red = frame[:56, :, 0] - frame[:56, :, 1] > 50
    rows, columns = np.nonzero(red)
    scale_x, scale_y = 16.2 * 64 / 1200, 16.2 * 64 / 1000
    nose = int(48 - 2.4 * np.cos(0.9) * scale_y), int(32 - 2.4 * np.sin(0.9) * scale_x)
    tail = int(48 + 2.1 * np.cos(0.9) * scale_y), int(32 + 2.1 * np.sin(0.9) * scale_x)
    assert red[nose] and red[tail]
    assert not red[nose[0], tail[1]] and not red[tail[0], nose[1]]
    assert columns.min() >= 29 and columns.max() <= 34 and rows.min() >= 44 and rows.max() <= 51


def test_tracks_larger_than_the_raster_are_cut_off():
    """The raster covers 348 units around the middle of a road from 0 to 119 * 3.5 = 416.5: it ends at 208 + 174."""
    scene = jax.jit(rasterise)(straight_track(0.0, 120), default_colours(), 1000.0)
    frame = np.asarray(jax.jit(picture.draw_gymnasium)(scene, car_at(0.0, 370.0, 0.0), 1.0)).astype(int)
    grey = np.ptp(frame[:84, 38:58], axis=-1) < 10
    rim = int(72 - (382 - 370) * 16.2 * 96 / 800)
    assert not grey[: rim - 1].any()
    assert grey[rim + 2 : 60].all()


def test_frames_have_the_given_colours():
    chosen = Colours(*(jnp.array(rgb, jnp.float32) for rgb in ((10, 20, 30), (200, 40, 90), (200, 60, 90))))
    scene = scene_of(0.0).replace(colours=chosen)
    frame = np.asarray(jax.jit(picture.draw_book)(scene, car_at(0.0, 84.0, 0.0)))
    seen = {tuple(pixel) for pixel in frame.reshape(-1, 3).tolist()}
    assert {(10, 20, 30), (13, 23, 33), (15, 25, 35), (200, 40, 90), (200, 60, 90)} <= seen


def test_random_colours_have_gymnasiums_distribution():
    many = jax.vmap(random_colours)(jax.random.split(jax.random.key(0), 4000))
    for rgb in (many.road, many.background):
        assert rgb.min() >= 0 and rgb.max() < 210
        np.testing.assert_allclose(rgb.mean(axis=0), 105, atol=5)  # the standard error is 60.6 / sqrt(4000) = 0.96
        np.testing.assert_allclose(rgb.std(axis=0), 210 / np.sqrt(12), atol=3)
    lift = np.asarray(many.grass - many.background)
    assert ((np.abs(lift - 20) < 1e-3).sum(axis=1) == 1).all() and ((np.abs(lift) < 1e-3).sum(axis=1) == 2).all()
    np.testing.assert_allclose((lift > 1).mean(axis=0), 1 / 3, atol=0.04)


@pytest.mark.slow
def test_pooled_scenes_draw_as_single_ones_without_copies():
    tracks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(straight_track(angle) for angle in (0.0, 0.5, 1.0)))
    scenes = jax.jit(lambda t: jax.lax.map(lambda t: rasterise(t, default_colours(), PLAYFIELD), t))(tracks)
    index = jnp.array([2, 0, 1, 2, 2, 1, 0, 0] * 8)
    car = car_at(-30.0, 80.0, 0.4)
    pooled = jax.jit(lambda scenes, index: jax.vmap(lambda i: picture.draw_book(choose(scenes, i), car))(index))
    compiled = pooled.lower(scenes, index).compile()
    frames = np.asarray(compiled(scenes, index))
    alone = [jax.tree.map(lambda leaf, i=i: leaf[i], scenes) for i in range(3)]
    for frame, i in zip(frames, index, strict=True):
        np.testing.assert_array_equal(frame, jax.jit(picture.draw_book)(alone[int(i)], car))
    assert compiled.memory_analysis().temp_size_in_bytes < 0.25 * len(index) * scenes.texels[0].nbytes


def test_shrink_averages_over_areas():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 96, 3)).astype(np.uint8)
    fine = frames.repeat(2, axis=2).repeat(2, axis=3).reshape(2, 3, 64, 3, 64, 3, 3)
    expected = np.floor(fine.mean(axis=(3, 5)) + 0.5)
    expected[:, :, 56:, :18] = 0
    small = picture.shrink(frames)
    assert small.dtype == np.uint8 and small.shape == (2, 3, 64, 64, 3)
    np.testing.assert_array_equal(small, expected)
