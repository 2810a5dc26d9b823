import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.car_racing_fidelity import compare_tracks, load_track, make_points
from gdl_jax.envs.car_racing.tile_index import REACH, tiles_near
from gdl_jax.envs.car_racing.track import (
    HALF_WIDTH,
    MAX_TILES,
    draw_checkpoints,
    make_track,
    tile_corners,
    track_through,
)
from tests.envs.checkpoints import drawn

pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
games = pytest.importorskip("experiments.bench.peers.gymnasium_racing")
NUM = 256


@pytest.fixture(scope="module")
def tracks():
    return jax.jit(jax.vmap(make_track))(jax.random.split(jax.random.key(0), NUM))


def single(tracks, number):
    return jax.tree.map(lambda leaf: leaf[number], tracks)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(12), 36, 100, 105])
def test_equal_checkpoints_give_gymnasiums_track(seed):
    theirs = games.try_track(np.random.default_rng(seed))
    ours, made = jax.jit(track_through)(*drawn(np.random.default_rng(seed)))
    assert made == (theirs is not None)
    assert made == (seed < 36)
    if made:
        count = int(ours.count)
        assert count == len(theirs)
        np.testing.assert_allclose(ours.centre[:count], theirs[:, 1:], atol=0.05)
        np.testing.assert_allclose(ours.angle[:count], theirs[:, 0], atol=1e-3)
        has_border = games.borders(np.random.default_rng(seed))
        np.testing.assert_array_equal(ours.border[:count] != 0, has_border)
        turns = theirs[:, 0] - np.roll(theirs[:, 0], 1)
        np.testing.assert_array_equal(ours.border[:count], np.where(has_border, -np.sign(turns), 0))


@pytest.mark.slow
def test_tracks_have_gymnasiums_distribution():
    theirs, _ = games.make_tracks(seed=0, num=100)
    compared = compare_tracks(make_points(seed=0, num=NUM), theirs)
    assert {name: row for name, row in compared.items() if row["p_value"] < 0.01} == {}


def test_checkpoints_have_gymnasiums_distribution():
    rng = np.random.default_rng(0)
    theirs = np.array([drawn(rng) for _ in range(1000)])  # (1000, 2, CHECKPOINTS)
    ours = np.stack(jax.jit(jax.vmap(draw_checkpoints))(jax.random.split(jax.random.key(0), 1000)), axis=1)
    np.testing.assert_array_equal(ours[:, :, [0, -1]], theirs[:, :, [0, -1]])
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), rtol=0.05)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.1, atol=1e-5)


@pytest.mark.slow
def test_tiles_are_joined_and_as_wide_as_the_road(tracks):
    track = single(tracks, 0)
    count = int(track.count)
    corners = np.asarray(tile_corners(track))
    front, back = corners[:, :2], corners[:, [3, 2]]
    np.testing.assert_array_equal(back[1:count], front[: count - 1])
    np.testing.assert_array_equal(back[0], front[count - 1])
    np.testing.assert_array_equal(front[count:], np.broadcast_to(front[count - 1], front[count:].shape))
    across = front[:, 1] - front[:, 0]
    np.testing.assert_allclose(np.linalg.norm(across, axis=1), 2 * HALF_WIDTH, rtol=1e-5)
    ahead = np.stack([-np.sin(track.angle), np.cos(track.angle)], axis=1)
    steps = np.diff(np.asarray(track.centre)[:count], axis=0)
    assert ((steps * ahead[1:count]).sum(axis=1) > 3).all()  # the road follows the angle
    assert (across[:, 0] * ahead[:, 1] - across[:, 1] * ahead[:, 0] > 0).all()  # and `left` is to the left of it


def _within(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Returns which of the convex quadrilaterals (T, 4, 2), clockwise, contain a point (2,)."""
    edges, to_point = np.roll(corners, -1, axis=1) - corners, point - corners
    return ((edges[..., 0] * to_point[..., 1] - edges[..., 1] * to_point[..., 0]) <= 0).all(axis=1)


def test_index_lists_every_tile_within_reach(tracks):
    rng, look_up = np.random.default_rng(0), jax.jit(tiles_near)
    for number in range(4):
        track = single(tracks, number)
        count = int(track.count)
        corners = np.asarray(tile_corners(track))[:count]
        for _ in range(50):
            place = np.asarray(track.centre)[rng.integers(count)] + rng.normal(0, 6, 2)
            angles, radii = rng.uniform(0, 2 * np.pi, 40), REACH * np.sqrt(rng.uniform(size=40))
            around = place + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            near = np.flatnonzero(np.any([_within(point, corners) for point in around], axis=0))
            listed, real = look_up(track.index, jnp.asarray(place, jnp.float32))
            assert set(near) <= set(np.asarray(listed)[np.asarray(real)])
            assert np.asarray(real).sum() < len(real)  # it does not list all tiles


def test_tracks_that_do_not_fit_the_index_are_refused():
    heap = np.tile([0.3, 10.0, 20.0], (60, 1))  # 60 tiles at one position
    with pytest.raises(ValueError):
        load_track(heap)
    with pytest.raises(ValueError):
        load_track(np.tile([0.3, 10.0, 20.0], (MAX_TILES + 1, 1)))


@pytest.mark.slow
def test_invalid_tracks_are_drawn_again(tracks):
    def first_try(key):
        return track_through(*draw_checkpoints(jax.random.split(key)[1]))[1]

    tries = jax.jit(jax.vmap(first_try))(jax.random.split(jax.random.key(0), NUM))
    assert 0.85 < float(tries.mean()) < 0.99
    assert tracks.count.min() > 200 and tracks.count.max() <= MAX_TILES
    ends = tracks.centre[:, 0] - tracks.centre[jnp.arange(NUM), tracks.count - 1]
    assert jnp.linalg.norm(ends, axis=1).max() < 15  # all tracks are closed
