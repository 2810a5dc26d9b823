"""Frames of CarRacing beside gymnasium's own, and beside each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.envs.car_racing import simulation
from gdl_jax.envs.car_racing.car import FPS
from gdl_jax.envs.car_racing.colours import default_colours, random_colours
from gdl_jax.envs.car_racing.picture import draw_book, draw_gymnasium, draw_gymnasium64, shrink
from gdl_jax.envs.car_racing.scene import choose, rasterise
from gdl_jax.envs.car_racing.track import MAX_TILES, lay_tiles, make_track

PARAMS = simulation.EnvParams()
PANEL_ROWS = 12  # of 96


def difference(a, b):
    return np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).mean()


@pytest.fixture(scope="module")
def scene():
    track = make_track(jax.random.key(0))
    return track, jax.jit(rasterise)(track, default_colours(), PARAMS.playfield)


@pytest.mark.parametrize("seed", [1, 2])
def test_frames_are_gymnasiums(seed):
    """After the same actions on the same track, through the opening zoom, on the road and off it."""
    pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
    from gymnasium.envs.box2d.car_racing import CarRacing

    game = CarRacing()
    game.reset(seed=seed)
    points = np.zeros((MAX_TILES, 3), np.float32)
    points[: len(game.track)] = [row[1:4] for row in game.track]
    track, _ = lay_tiles(jnp.int32(len(game.track)), jnp.asarray(points[:, 0]), jnp.asarray(points[:, 1:]))
    scene = jax.jit(rasterise)(track, default_colours(), PARAMS.playfield)
    step, draw, draw64 = jax.jit(simulation.step), jax.jit(draw_gymnasium), jax.jit(draw_gymnasium64)
    now = simulation.reset(track, PARAMS)
    for t in range(1, 121):
        action = np.array([0.15 if t > 60 else 0.0, 0.3, 0.0])
        frame, *_ = game.step(action)
        now, *_ = step(track, now, jnp.asarray(action, jnp.float32), PARAMS)
        if t in (1, 10, 30, 60, 120):
            time = jnp.float32((t + 1) / FPS)
            ours = draw(scene, now.car, time)
            assert difference(ours[:-PANEL_ROWS], frame[:-PANEL_ROWS]) < 3, t
            assert difference(ours, frame) < 6, t
            assert difference(draw64(scene, now.car, time), shrink(frame)) < 6, t
            assert difference(ours[:-PANEL_ROWS], np.asarray(ours)[::-1][:-PANEL_ROWS]) > 6  # it tells frames apart


def test_the_small_frame_is_the_large_one_shrunk(scene):
    track, scene = scene
    now = simulation.reset(track, PARAMS)
    for time in (0.1, 0.5, 2.0):
        large = np.asarray(jax.jit(draw_gymnasium)(scene, now.car, jnp.float32(time)))
        small = jax.jit(draw_gymnasium64)(scene, now.car, jnp.float32(time))
        assert large.shape == (96, 96, 3) and small.shape == (64, 64, 3)
        assert large.dtype == small.dtype == np.uint8
        assert difference(small, shrink(large)) < 3, time


def test_shrinking_takes_means_of_areas():
    frames = np.zeros((2, 96, 96, 3), np.uint8)
    frames[1, :, :48] = 200
    small = shrink(frames)
    assert small.shape == (2, 64, 64, 3) and small.dtype == np.uint8
    assert small[0].max() == 0
    assert (small[1, :56, :32] == 200).all() and small[1, :, 32:].max() == 0  # below are the panel and its score
    frames[0, 0, 0] = 90
    assert shrink(frames)[0, 0, 0, 0] == round(90 * 4 / 9)  # of a pixel and a half each way


def test_the_books_frame_does_not_zoom_and_shows_the_road_below_the_car(scene):
    track, scene = scene
    now = simulation.reset(track, PARAMS)
    frame = np.asarray(jax.jit(draw_book)(scene, now.car))
    assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
    column = frame[40, 32 - 3 : 32 + 3].astype(int)  # ahead of the car, in the middle of the road
    assert (np.abs(column - 104) < 8).all()


def test_a_scene_of_a_pool_is_drawn_as_alone(scene):
    tracks = jax.vmap(make_track)(jax.random.split(jax.random.key(3), 2))
    make_scene = jax.jit(lambda track: rasterise(track, default_colours(), PARAMS.playfield))
    scenes = jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *(make_scene(jax.tree.map(lambda leaf, i=i: leaf[i], tracks)) for i in range(2)),
    )
    cars = jax.vmap(simulation.reset, (0, None))(tracks, PARAMS).car
    time = jnp.float32(0.2)  # from afar, where tracks differ most
    draw = jax.jit(draw_gymnasium64)
    pooled = jax.jit(jax.vmap(lambda i, car: draw_gymnasium64(choose(scenes, i), car, time)))(jnp.arange(2), cars)
    for i in range(2):
        track, car = (jax.tree.map(lambda leaf, i=i: leaf[i], tree) for tree in (tracks, cars))
        alone = draw(make_scene(track), car, time)
        assert difference(pooled[i], alone) < 0.5
    assert difference(pooled[0], pooled[1]) > 1


def test_colours_can_be_drawn_anew(scene):
    track, _ = scene
    colours = random_colours(jax.random.key(5))
    scene = jax.jit(rasterise)(track, colours, PARAMS.playfield)
    frame = np.asarray(jax.jit(draw_gymnasium)(scene, simulation.reset(track, PARAMS).car, jnp.float32(2.0)))
    road = frame[60, 46:50].astype(float)
    np.testing.assert_allclose(road.mean(axis=0), np.asarray(colours.road), atol=8)
