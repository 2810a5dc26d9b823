"""The car and its contacts, compared with Box2D's step by step, for the same actions on the same tracks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.car_racing_fidelity import (
    OPEN_LOOP,
    action_sequences,
    compare_drive,
    compare_scores,
    drive_ours,
    load_car,
    load_track,
)
from gdl_jax.envs.car_racing import car as cars
from gdl_jax.envs.car_racing.simulation import EnvParams, reset, step
from gdl_jax.envs.car_racing.track import MAX_TILES

pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
games = pytest.importorskip("experiments.bench.peers.gymnasium_racing")
SEQUENCES = action_sequences(200)
STEP = jax.jit(step)


@pytest.fixture(scope="module")
def game():
    return games.BlindCarRacing()


@pytest.fixture(scope="module")
def drives(game):
    """Returns {name of a sequence: (our drive, gymnasium's)}, on the track of seed 1."""
    found = {}
    for name, actions in SEQUENCES.items():
        theirs = games.drive(game, 1, lambda _, number, actions=actions: actions[number], len(actions))
        found[name] = drive_ours(load_track(theirs.points), actions.astype(np.float32)), theirs
    return found


def _put_car(game, angle, x, y):
    """Places the car as gymnasium's reset does."""
    from gymnasium.envs.box2d.car_dynamics import Car

    game.car.destroy()
    game.car = Car(game.world, angle, x, y)
    game.step(None)


def test_masses_match_box2d(game):
    game.reset(seed=1)
    hull, wheel = game.car.hull, game.car.wheels[0]
    np.testing.assert_allclose(hull.mass, cars.HULL_MASS, rtol=1e-4)
    np.testing.assert_allclose(hull.inertia, cars.HULL_INERTIA, rtol=1e-4)
    np.testing.assert_allclose(hull.localCenter, (0, cars.HULL_CENTRE_Y), atol=1e-4)
    np.testing.assert_allclose(wheel.mass, cars.WHEEL_MASS, rtol=1e-4)
    np.testing.assert_allclose(wheel.inertia, cars.WHEEL_INERTIA, rtol=1e-4)


@pytest.mark.parametrize("angle", [-2.5, -0.4, 0.0, 0.13, 1.5, 3.1])
def test_placed_car_matches_gymnasiums_reset(game, angle):
    game.reset(seed=1)
    _put_car(game, angle, 100.0, 50.0)
    ours = cars.place_car(np.float32([100, 50]), np.float32(angle))
    np.testing.assert_allclose(cars.hull_position(ours), game.car.hull.position, atol=1e-3)
    np.testing.assert_allclose(ours.angle, game.car.hull.angle, atol=5e-4)
    np.testing.assert_allclose(ours.joint_angle, [wheel.joint.angle for wheel in game.car.wheels], atol=5e-4)
    positions = np.array([wheel.position for wheel in game.car.wheels]).T
    np.testing.assert_allclose(cars.wheel_positions(ours), positions, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SEQUENCES))
def test_positions_match_gymnasium(drives, name):
    ours, theirs = drives[name]
    apart = compare_drive(ours, theirs)["apart"]
    assert apart[50] < 0.0005  # relative to the distance driven
    assert apart[150] < 0.005


@pytest.mark.parametrize("name", list(SEQUENCES))
def test_contacts_and_rewards_match_gymnasium(drives, name):
    ours, theirs = drives[name]
    assert int(ours.length) == len(theirs.rewards)
    np.testing.assert_array_equal(ours.records[1], theirs.on_road)
    np.testing.assert_allclose(ours.records[2], theirs.rewards, atol=1e-4)
    np.testing.assert_array_equal(ours.state.visited[: len(theirs.visited)], theirs.visited)
    assert theirs.visited.sum() > 3


def test_action_sequences_leave_the_road_and_return(drives):
    on_road = np.concatenate([theirs.on_road for _, theirs in drives.values()])
    assert 0.1 < on_road.mean() < 0.9
    assert (on_road.any(axis=1) & ~on_road.all(axis=1)).any()


def test_leaving_the_playfield_ends_the_episode(game):
    actions = np.tile(np.float32([0, 0.5, 0]), (300, 1))  # straight ahead
    theirs = games.drive(game, 1, lambda _, number: actions[number], 300)
    ours = drive_ours(load_track(theirs.points), actions)
    assert theirs.terminated and theirs.rewards[-1] == -100
    assert int(ours.length) == len(theirs.rewards) < 300
    np.testing.assert_allclose(ours.returned, theirs.rewards.sum(), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unvisited", "ends"),
    [([0], True), ([0, 100], True), ([0, *range(100, 120)], False), ([-2, 100], False), ([-2, 0], True)],
)
def test_lap_ends_as_in_gymnasium(game, unvisited, ends):
    """A car reaches the first tile when all but some of the others have been visited."""
    game.reset(seed=1)
    _put_car(game, *game.track[-5][1:])
    points = games.track_points(game)
    track = load_track(points)
    visited = np.arange(MAX_TILES) < len(points)
    visited[np.array(unvisited) % len(points)] = False
    for tile, was_visited in zip(game.road, visited, strict=False):
        tile.road_visited = bool(was_visited)
    game.tile_visited_count = int(visited.sum())
    car = cars.place_car(*(jnp.asarray(value, jnp.float32) for value in (points[-5, 1:], points[-5, 0])))
    ours = reset(track, EnvParams()).replace(car=car, visited=jnp.asarray(visited))
    ended = False
    for _ in range(60):
        _, _, ended, _, their_info = game.step(np.array([0.0, 0.5, 0.0]))
        ours, _, our_end, _, info = STEP(track, ours, np.float32([0, 0.5, 0]), EnvParams())
        assert bool(our_end) == ended
        assert bool(info["lap_finished"]) == their_info.get("lap_finished", False)
        if ended:
            break
    assert ours.visited[0]
    assert ended == ends


def test_load_car_reads_gymnasiums_car_as_one_body(game):
    game.reset(seed=2)
    track = load_track(games.track_points(game))
    ours, actions = reset(track, EnvParams()), SEQUENCES["full lock"]
    for action in actions[:60]:
        game.step(action)
        ours, *_ = STEP(track, ours, action.astype(np.float32), EnvParams())
    read = load_car(game)
    for name, tolerance in {"position": 5e-3, "velocity": 5e-3, "spin": 5e-3, "wheel_omega": 0.05, "gas": 1e-6}.items():
        np.testing.assert_allclose(getattr(read, name), getattr(ours.car, name), atol=tolerance, err_msg=name)
    np.testing.assert_allclose(cars.hull_velocity(ours.car), game.car.hull.linearVelocity, atol=5e-3)
    np.testing.assert_allclose(read.wheel_phase, ours.car.wheel_phase, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("nothing", -95, -91), ("held uniform, 5 steps", -40, -15), ("pure pursuit", 750, 940)],
)
def test_returns_match_gymnasium(name, low, high):
    """Returns are in the range of gymnasium's episodes, and equal to them episode by episode."""
    seeds = range(1, 3)
    scores = compare_scores(games, [name], seeds)[name]
    assert low < np.mean(scores["gymnasium"]) < high
    np.testing.assert_allclose(scores["ours"], scores["gymnasium"], rtol=0.01, atol=0.5)


def test_full_gas_has_gymnasiums_return(game):
    actions = np.asarray(OPEN_LOOP["full gas"](0))
    theirs = games.drive(game, 3, lambda _, number: actions[number], 400)
    ours = drive_ours(load_track(theirs.points), actions[:400])
    np.testing.assert_allclose(ours.returned, theirs.rewards.sum(), atol=0.5)
