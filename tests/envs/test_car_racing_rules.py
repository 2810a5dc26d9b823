"""CarRacing beside gymnasium's own: the same tracks and actions lead to the same places, tiles and rewards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.envs.car_racing import simulation
from gdl_jax.envs.car_racing.car import hull_position
from gdl_jax.envs.car_racing.track import MAX_TILES, lay_tiles, make_track

PARAMS = simulation.EnvParams()
SEEDS, STEPS = (1, 2), 150
step = jax.jit(simulation.step)


def held(steps):
    """Random actions, each held for five steps."""
    drawn = np.random.default_rng(0).uniform([-1, 0, 0], [1, 1, 0.2], (-(-steps // 5), 3))
    return np.repeat(drawn, 5, axis=0)[:steps]


def sequences():
    t = np.arange(STEPS)[:, None]
    zero = np.zeros((STEPS, 1))
    yield "gentle", np.concatenate([0.1 * np.sin(t / 20), zero + 0.15, zero], 1)
    yield "full gas", np.concatenate([zero, zero + 1, zero], 1)
    yield "skidding", np.concatenate([0.6 * (t > 30), zero + 1, zero], 1)
    yield "braking", np.where(t < 60, [[0.2, 1.0, 0.0]], [[0.3, 0.0, 0.8]])
    yield "held", held(STEPS)


@pytest.fixture(scope="module")
def game():
    pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
    from experiments.peers.gymnasium_racing import BlindCarRacing

    return BlindCarRacing()


def loaded(game):
    """gymnasium's track as ours."""
    points = np.array([row[1:4] for row in game.track], np.float32)
    padded = np.zeros((MAX_TILES, 3), np.float32)
    padded[: len(points)] = points
    track, fits = lay_tiles(jnp.int32(len(points)), jnp.asarray(padded[:, 0]), jnp.asarray(padded[:, 1:]))
    assert fits
    return track


@pytest.mark.parametrize(("name", "actions"), list(sequences()), ids=[name for name, _ in sequences()])
def test_the_same_actions_lead_to_the_same_places_tiles_and_rewards(game, name, actions):
    from experiments.peers.gymnasium_racing import tiles_visited

    for seed in SEEDS:
        game.reset(seed=seed)
        track = loaded(game)
        now = simulation.reset(track, PARAMS)
        travelled, last = 0.0, np.array(game.car.hull.position)
        theirs, ours = 0.0, 0.0
        for t, action in enumerate(actions, start=1):
            _, reward, *_ = game.step(action)
            now, our_reward, *_ = step(track, now, jnp.asarray(action, jnp.float32), PARAMS)
            theirs, ours = theirs + reward, ours + float(our_reward)
            here = np.array(game.car.hull.position)
            travelled, last = travelled + np.linalg.norm(here - last), here
            if t in (50, 150):
                gap = np.linalg.norm(np.array(hull_position(now.car)) - here)
                assert gap <= {50: 0.02, 150: 0.03}[t] * travelled + 1e-3, (name, seed, t, gap, travelled)
        visited = tiles_visited(game)
        assert abs(int(visited.sum()) - int(now.visited.sum())) <= 1
        assert abs(theirs - ours) <= 1000 / len(visited) + 1e-2


def test_tracks_are_gymnasiums_in_distribution(game):
    """Lengths, turns and extents of 150 tracks each, by the Kolmogorov-Smirnov test."""
    from scipy import stats

    from experiments.peers.gymnasium_racing import tracks

    theirs, _ = tracks(0, 150)
    ours = jax.jit(jax.vmap(make_track))(jax.random.split(jax.random.key(0), 150))
    counts = np.asarray(ours.count)
    rows = [
        np.concatenate([np.asarray(ours.angle)[i, :n, None], np.asarray(ours.centre)[i, :n]], 1)
        for i, n in enumerate(counts)
    ]

    def turns(track):
        turn = np.diff(track[:, 0])
        return np.abs((turn + np.pi) % (2 * np.pi) - np.pi).mean()

    for measure in (len, turns, lambda track: np.ptp(track[:, 1]), lambda track: np.ptp(track[:, 2])):
        result = stats.ks_2samp([measure(track) for track in theirs], [measure(track) for track in rows])
        assert result.pvalue > 0.005, result


def test_leaving_the_playfield_costs_a_hundred_and_ends_the_episode():
    track = make_track(jax.random.key(0))
    now = simulation.reset(track, PARAMS)
    for inside, expected in ((1.0, False), (-1.0, True)):
        place = jnp.array([PARAMS.playfield - 3 * inside, 0.0])
        moved = now.replace(car=now.car.replace(position=place))
        _, reward, terminated, _, info = step(track, moved, jnp.zeros(3), PARAMS)
        assert bool(terminated) == expected
        assert (float(reward) == -100.0) == expected
        assert not info["lap_finished"]


def test_an_episode_is_cut_off_and_a_lap_ends_with_all_tiles():
    track = make_track(jax.random.key(1))
    now = simulation.reset(track, PARAMS)
    late = now.replace(time=jnp.int32(PARAMS.max_steps_in_episode - 1))
    assert step(track, late, jnp.zeros(3), PARAMS)[3]
    assert not step(track, now, jnp.zeros(3), PARAMS)[3]
    all_but_the_first = jnp.arange(MAX_TILES) < track.count
    driven = now.replace(visited=all_but_the_first.at[0].set(False))
    _, reward, terminated, _, info = step(track, driven, jnp.zeros(3), PARAMS)
    assert terminated and info["lap_finished"]
    np.testing.assert_allclose(reward, now.carried - 0.1 + 1000 / track.count, rtol=1e-4)


def test_the_start_is_on_two_tiles_whose_reward_comes_with_the_first_step():
    track = make_track(jax.random.key(2))
    now = simulation.reset(track, PARAMS)
    assert now.visited.sum() == 2
    np.testing.assert_allclose(now.carried, 2000 / track.count, rtol=1e-5)
    after, reward, *_ = step(track, now, jnp.zeros(3), PARAMS)
    np.testing.assert_allclose(reward, 2000 / track.count - 0.1, rtol=1e-4)
    assert after.carried == 0
