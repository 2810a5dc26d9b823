import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.envs.car_racing.car import hull_position
from gdl_jax.envs.car_racing.env import CarRacing
from gdl_jax.envs.car_racing.simulation import DISCRETE_ACTIONS, EnvParams, reset, step

FRAMES = {"gymnasium": (96, 96, 3), "gymnasium64": (64, 64, 3), "book": (64, 64, 3), "none": (0,)}
ACTION = jnp.array([0.3, 0.5, 0.0])
STEP = jax.jit(step)


@functools.cache
def compiled(env):
    return jax.jit(env.step_env)


@pytest.fixture(scope="module")
def episodes():
    """Returns {observation: (environment, first observation, first state)}, for one episode."""
    envs = {name: CarRacing(name) for name in FRAMES}
    frame, drawn = jax.jit(envs["gymnasium"].reset_env)(jax.random.key(4), EnvParams())
    started = {"gymnasium": (envs["gymnasium"], frame, drawn)}
    for name in ("gymnasium64", "book"):  # a reset of each would have to be compiled
        started[name] = envs[name], jax.jit(envs[name].get_obs)(drawn), drawn
    return started | {"none": (envs["none"], envs["none"].get_obs(drawn), drawn.replace(scene=None))}


@pytest.mark.slow
@pytest.mark.parametrize("tile", [0, 7, 150])
def test_reset_places_the_car_on_the_given_tile_along_the_road(episodes, tile):
    track = episodes["none"][2].track
    dynamic = reset(track, EnvParams(), jnp.int32(tile))
    np.testing.assert_allclose(hull_position(dynamic.car), track.centre[tile], atol=0.01)
    np.testing.assert_allclose(dynamic.car.angle, track.angle[tile], atol=0.05)
    touched = np.flatnonzero(dynamic.visited)
    assert tile in touched and len(touched) <= 3
    distances = np.minimum((touched - tile) % track.count, (tile - touched) % track.count)
    assert distances.max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("observation", list(FRAMES))
def test_observations_are_in_their_space(episodes, observation):
    env, first, state = episodes[observation]
    space = env.observation_space()
    following, *_ = compiled(env)(jax.random.key(0), state, ACTION, env.default_params)
    for frame in (first, following):
        assert frame.shape == FRAMES[observation] == space.shape
        assert frame.dtype == jnp.uint8
    if observation != "none":
        assert len(np.unique(np.asarray(first).reshape(-1, 3), axis=0)) > 10
        assert (first != following).any()


def test_unknown_observation_is_refused():
    with pytest.raises(UserError, match="sideways"):
        CarRacing("sideways")


def test_only_gymnasiums_camera_zooms_in(episodes):
    changes = {}
    for name in ("gymnasium64", "book"):
        env, first, state = episodes[name]
        still = state
        for _ in range(10):
            frame, still, *_ = compiled(env)(jax.random.key(0), still, jnp.zeros(3), env.default_params)
        changes[name] = np.abs(np.asarray(frame, int) - np.asarray(first, int)).mean()
    assert changes["gymnasium64"] > 3 * changes["book"] + 1


def test_step_env_matches_simulation_step(episodes):
    env, _, state = episodes["none"]
    params = env.default_params
    for number in range(3):
        dynamic, reward, terminated, _, info = STEP(state.track, state.dynamic, ACTION, params)
        _, state, got, done, got_info = compiled(env)(jax.random.key(number), state, ACTION, params)
        jax.tree.map(np.testing.assert_array_equal, state.dynamic, dynamic)
        assert (got, done, got_info["tiles_visited"]) == (reward, terminated, info["tiles_visited"])
        assert state.time == number + 1


def test_reward_of_the_first_tiles_is_paid_at_the_first_step(episodes):
    env, _, state = episodes["none"]
    tiles = int(state.dynamic.visited.sum())
    rewards = []
    for _ in range(2):
        _, state, reward, *_ = compiled(env)(jax.random.key(0), state, jnp.zeros(3), env.default_params)
        rewards.append(float(reward))
    np.testing.assert_allclose(rewards, [1000 * tiles / int(state.track.count) - 0.1, -0.1], rtol=1e-5)


@pytest.mark.slow
def test_gymnax_step_truncates_and_makes_a_new_track():
    env = CarRacing("none")
    params = EnvParams(max_steps_in_episode=2)
    _, first = env.reset(jax.random.key(0), params)
    _, second, _, terminated, truncated, _ = env.step(jax.random.key(1), first, ACTION, params)
    assert (second.time, bool(terminated), bool(truncated)) == (1, False, False)
    _, third, reward, terminated, truncated, _ = env.step(jax.random.key(2), second, ACTION, params)
    assert (third.time, bool(terminated), bool(truncated)) == (0, False, True)
    assert third.track.count != first.track.count
    np.testing.assert_allclose(reward, -0.1, rtol=1e-5)


def test_episodes_are_truncated_at_their_last_step(episodes):
    _, _, state = episodes["none"]
    now, cut = state.dynamic, []
    for _ in range(4):
        now, _, _, truncated, _ = STEP(state.track, now, ACTION, EnvParams(max_steps_in_episode=3))
        cut.append(bool(truncated))
    assert cut == [False, False, True, True]


@pytest.mark.parametrize(
    ("params", "distance", "outside"), [(EnvParams(), 340, True), (CarRacing("book").default_params, 340, False)]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_leaving_the_playfield_terminates(episodes, params, distance, outside, axis):
    env, _, state = episodes["none"]
    car = state.dynamic.car
    away = state.replace(dynamic=state.dynamic.replace(car=car.replace(position=car.position.at[axis].set(-distance))))
    _, after, reward, terminated, info = compiled(env)(jax.random.key(0), away, jnp.zeros(3), params)
    assert bool(terminated) == bool(env.is_terminated(after, params)) == outside
    assert (reward == -100) == outside
    assert not info["lap_finished"]


def test_lap_ends_with_the_last_tile(episodes):
    env, _, state = episodes["none"]
    count = state.track.count
    visited = jnp.arange(len(state.dynamic.visited)) < count
    # The car is on tile 0, whose contact is detected in the next step.
    for missing, finished in (([0], True), ([0, 100], True), ([100], False)):
        partly = state.replace(dynamic=state.dynamic.replace(visited=visited.at[jnp.array(missing)].set(False)))
        _, after, _, terminated, info = compiled(env)(jax.random.key(0), partly, jnp.zeros(3), EnvParams())
        assert bool(terminated) == bool(info["lap_finished"]) == finished
        assert int(info["tiles_visited"]) == int(count) - len(missing) + (0 in missing)
        assert bool(env.is_terminated(after, EnvParams())) == (missing == [0])


def test_discrete_actions_match_gymnasium(episodes):
    pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
    from gymnasium.envs.box2d import car_racing

    game = car_racing.CarRacing(continuous=False)
    game._render = lambda mode: None
    game.reset(seed=1)
    env = CarRacing("none", continuous=False)
    _, _, state = episodes["none"]
    assert env.num_actions == env.action_space().n == game.action_space.n
    for action in range(game.action_space.n):
        for wheel in game.car.wheels:
            wheel.gas = 0.0
        game.step(action)
        steer, gas, brake = DISCRETE_ACTIONS[action]
        np.testing.assert_allclose([game.car.wheels[0].steer, game.car.wheels[0].brake], [-steer, brake])
        np.testing.assert_allclose(game.car.wheels[2].gas, min(gas, 0.1))  # it increases by 0.1 per step
        _, by_number, *_ = compiled(env)(jax.random.key(0), state, jnp.int32(action), EnvParams())
        by_values, *_ = STEP(state.track, state.dynamic, jnp.array([steer, gas, brake]), EnvParams())
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), by_number.dynamic, by_values)


def test_domain_randomisation_gives_each_episode_colours():
    env = CarRacing("gymnasium")
    begin = jax.jit(env.reset_env)
    states = {
        (randomize, key): begin(jax.random.key(key), EnvParams(domain_randomize=randomize))[1].scene.colours
        for randomize in (False, True)
        for key in (0, 1)
    }
    for key in (0, 1):
        np.testing.assert_array_equal(states[False, key].road, [102, 102, 102])
        brighter = np.asarray(states[True, key].grass - states[True, key].background)
        np.testing.assert_allclose(sorted(brighter), [0, 0, 20], atol=1e-3)
    assert (states[True, 0].road != states[True, 1].road).all()


def test_cars_on_a_shared_track_match_single_cars(episodes):
    _, _, state = episodes["none"]
    actions = jax.random.uniform(jax.random.key(0), (5, 3), minval=jnp.array([-1.0, 0, 0]))
    begin = jax.jit(reset)(state.track, EnvParams())
    start = jax.tree.map(lambda leaf: jnp.stack([leaf] * 5), begin)
    many, rewards, *_ = jax.jit(jax.vmap(step, in_axes=(None, 0, 0, None)))(state.track, start, actions, EnvParams())
    for number, action in enumerate(actions):
        one, reward, *_ = STEP(state.track, begin, action, EnvParams())
        alone = jax.tree.map(lambda leaf, number=number: leaf[number], many)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), alone, one)
        np.testing.assert_allclose(rewards[number], reward, rtol=1e-5)
