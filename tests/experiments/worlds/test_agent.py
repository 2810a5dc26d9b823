"""Tests of the agent in the game and in dreams: controllers in a batch behave as each does alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.worlds import controller as world_controller
from experiments.worlds.driving import control, dream_film, dream_returns, drive, driver, film
from experiments.worlds.game import FRAMES, make_worlds
from gdl_jax.envs.car_racing.simulation import reset, step
from gdl_jax.envs.dream.dynamics import Dream
from gdl_jax.envs.dream.dynamics import EnvParams as DreamParams
from gdl_jax.envs.rollouts import rollout
from gdl_jax.models.agent import act, initial_state, observe_reward
from gdl_jax.models.controller import driving_controls
from gdl_jax.models.mdn_rnn import transition
from gdl_jax.models.world_vae import encode_frames

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def game(world):
    config = dataclasses.replace(
        world_controller.PRESETS["tiny"], vision=str(world / "vae"), memory=str(world / "memory")
    )
    return world_controller.load(config)


def controllers(game, count):
    known = world_controller.networks(None, game)["controller"].inputs
    inputs = [jnp.zeros(shape.shape) for shape in known]
    shapes = game.agent.controller.init(jax.random.key(0), *inputs, train=False)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=(count, *leaf.shape)), jnp.float32), shapes)


def test_controllers_in_a_batch_drive_as_each_does_alone(game):
    """Returns of a batch of episodes equal those of single episodes."""
    population, steps = controllers(game, 3), 60
    keys = jax.random.split(jax.random.key(2), 2)
    arguments = (game.agent, game.params)
    driven = jax.jit(lambda p: drive(*arguments, p, keys, "gymnasium", steps))(population)
    assert driven.returns.shape == (3, 2)
    assert (np.ptp(driven.returns, axis=0) > 1).all()  # the controller matters
    one = jax.jit(lambda controller, key: film(*arguments, controller, key, "gymnasium", steps))
    for i in range(3):
        for j in range(2):
            shot = one(jax.tree.map(lambda leaf, i=i: leaf[i], population), keys[j])
            total = shot["reward"][shot["running"]].sum()
            np.testing.assert_allclose(driven.returns[i, j], total, rtol=1e-4, atol=1e-3)
            assert driven.lengths[i, j] == shot["running"].sum()
            assert driven.rewarded[i, j] == (shot["reward"][shot["running"]] > 0).sum()


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_controllers_in_a_batch_dream_as_each_does_alone(game, temperature):
    """Returns of a batch of dreams equal those of single dreams."""
    population, steps = controllers(game, 3), 30
    dream = Dream(transition(game.agent.memory), game.agent.memory.config.z_dim, game.agent.memory.config.hidden_units)
    params = DreamParams(
        variables={"params": jax.tree.map(lambda leaf: 20 * leaf, game.params.memory)},  # so that rewards differ
        initial_mean=jnp.asarray(game.memory.first_mean),
        initial_log_var=jnp.asarray(game.memory.first_log_var),
        temperature=temperature,
        max_steps_in_episode=steps,
    )
    keys = jax.random.split(jax.random.key(3), 2)
    returns = jax.jit(lambda p: dream_returns(game.agent, dream, params, p, keys))(population)
    assert returns.shape == (3, 2)
    assert (np.ptp(returns, axis=0) > 0).any()  # the controller matters
    one = jax.jit(lambda controller, key: dream_film(game.agent, dream, params, controller, key, steps))
    for i in range(3):
        for j in range(2):
            shot = one(jax.tree.map(lambda leaf, i=i: leaf[i], population), keys[j])
            assert returns[i, j] == shot["reward"].sum()


def test_given_actions_replace_the_driver_s_and_are_remembered(game):
    agent = game.agent
    assert agent.sampled
    params, draw = FRAMES["gymnasium"]
    tracks, scenes = make_worlds(jax.random.split(jax.random.key(4), 1), params.playfield)
    track, scene = jax.tree.map(lambda leaf: leaf[0], (tracks, scenes))
    one = jax.tree.map(lambda leaf: leaf[0], controllers(game, 1))
    actions = jnp.array([[1.0, 0.0, 0.25], [-0.5, 1.0, 0.0], [0.3, 0.6, 0.1], [0.0, 1.0, 0.0]])
    instead, steps = jnp.array([True, False, True, False]), 4

    def advance(state, action, key):
        after, reward, *rest = step(track, state[0], action, params)
        return (after, reward), reward, *rest

    def record(state, action, reward, after):
        return draw(scene, state[0]), action, reward

    policy = driver(agent, game.params, one, lambda now: draw(scene, now), actions, instead)
    first = reset(track, params), jnp.float32(0)
    found = jax.jit(rollout, static_argnums=(0, 1, 5, 6))(
        advance, policy, first, (0, initial_state(agent, 1)), jax.random.key(0), steps, record
    )
    frames, done, rewards = found.records
    mean, log_var = encode_frames(agent.encoder, game.params.encoder, frames)
    came_with_z = (np.pad(rewards, (1, 0)) > 0).astype(np.float32)
    variables, carry = {"params": game.params.memory}, agent.memory.zero_carry(1)
    for t, key in enumerate(jax.random.split(jax.random.key(0), steps)):
        policy_key, _ = jax.random.split(key)
        noise = jax.random.normal(policy_key, (1, agent.memory.config.z_dim))
        z = mean[t : t + 1] + jnp.exp(0.5 * log_var[t : t + 1]) * noise
        own = driving_controls(agent.controller.apply({"params": one}, z, *carry, train=False))[0]
        np.testing.assert_allclose(done[t], actions[t] if instead[t] else own, rtol=1e-4, atol=1e-5)
        seen = z[:, None], done[t][None, None], jnp.full((1, 1), came_with_z[t])
        _, _, carry = agent.memory.apply(variables, *seen, carry, train=False)
    _, state = found.memory
    for stepped, by_hand in zip(state.carry, carry, strict=True):
        np.testing.assert_allclose(stepped, by_hand, rtol=1e-4, atol=1e-5)


def test_the_memory_gets_the_same_inputs_as_in_training(game):
    """Stepping the agent gives the same memory state as one pass over the sequence of (z_t, a_t, r_t)."""
    agent, agent_params = game.agent, game.params
    choice = control(agent, controllers(game, 2), 1)
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (5, 2, 64, 64, 3)).astype(np.uint8)
    rewards = np.array([[3.0, -0.1], [-0.1, -0.1], [2.0, 1.0], [-0.1, 5.0], [1.0, -0.1]], np.float32)
    noise = jnp.zeros((2, agent.memory.config.z_dim))
    state, codes, actions = initial_state(agent, 2), [], []
    for frame, reward in zip(frames, rewards, strict=True):
        action, z, state = act(agent, agent_params, choice, jnp.asarray(frame), noise, state)
        state = observe_reward(state, jnp.asarray(reward))
        codes.append(z)
        actions.append(action)
    z, a = jnp.stack(codes, axis=1), jnp.stack(actions, axis=1)
    came_with_z = np.pad((rewards > 0)[:-1], ((1, 0), (0, 0))).T.astype(np.float32)
    start = agent.memory.zero_carry(2)
    _, _, carry = agent.memory.apply({"params": agent_params.memory}, z, a, came_with_z, start, train=False)
    for stepped, whole in zip(state.carry, carry, strict=True):
        np.testing.assert_allclose(stepped, whole, rtol=1e-4, atol=1e-5)
    assert np.ptp(a, axis=1).max() > 0.01
