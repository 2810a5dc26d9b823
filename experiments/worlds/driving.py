"""Agents of the world models in the racing game and in dreams: many controllers in one compiled program."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from experiments.worlds.game import FRAMES, make_worlds
from gdl_jax.envs.car_racing.car import FPS, Car
from gdl_jax.envs.car_racing.picture import draw_view
from gdl_jax.envs.car_racing.scene import Scene, choose
from gdl_jax.envs.car_racing.simulation import Dynamic, reset, step
from gdl_jax.envs.car_racing.track import Track
from gdl_jax.envs.dream.dynamics import Dream
from gdl_jax.envs.dream.dynamics import EnvParams as DreamParams
from gdl_jax.envs.rollouts import Policy
from gdl_jax.models.agent import Agent, AgentParams, act, initial_state, observe_reward
from gdl_jax.models.controller import controller_actions, driving_controls


class Drive(NamedTuple):
    """Outcomes of episodes, each (P, E) for P controllers on E tracks.

    Attributes:
      returns: sums of rewards.
      lengths: steps until the end.
      rewarded: numbers of steps with a positive reward, comparable with returns in dreams.
      tiles: shares of the track's tiles that were visited.
    """

    returns: jax.Array
    lengths: jax.Array
    rewarded: jax.Array
    tiles: jax.Array


def control(agent: Agent, controllers: Any, episodes: int) -> Callable:
    """Returns a `models.agent.Choice` for P controllers with E agents each, whose inputs have P E rows."""

    def one(parameters, *known):
        return agent.controller.apply({"params": parameters}, *known, train=False)

    def choice(*known):
        grouped = [array.reshape(-1, episodes, array.shape[-1]) for array in known]
        actions = jax.vmap(one)(controllers, *grouped)
        return actions.reshape(-1, actions.shape[-1])

    return choice


def _worlds_and_noise(keys: jax.Array, frames: str) -> tuple[tuple[Track, Scene], jax.Array]:
    """Returns tracks and scenes, each with a leading axis E, and keys (E,) for the noise of the drives."""
    world_keys, noise_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    return make_worlds(world_keys, FRAMES[frames][0].playfield), noise_keys


def _noise(key: jax.Array, time: jax.Array, z_dim: int) -> jax.Array:
    return jax.random.normal(jax.random.fold_in(key, time), (z_dim,))


def drive(agent: Agent, agent_params: AgentParams, controllers: Any, keys: jax.Array, frames: str, steps: int) -> Drive:
    """Drives every controller on each of E random tracks, until all episodes have ended or for `steps` steps.

    Args:
      agent: networks of the agent.
      agent_params: parameters of vision and memory.
      controllers: parameters of the controllers, each with a leading axis P.
      keys: (E,), one per track; decides the track and the noise of z, the same for all controllers.
      frames: a name of FRAMES.
      steps: most steps of an episode.
    """
    (tracks, scenes), noise_keys = _worlds_and_noise(keys, frames)
    params, draw = FRAMES[frames]
    individuals, episodes = jax.tree.leaves(controllers)[0].shape[0], keys.shape[0]
    numbers = jnp.arange(episodes)
    choice = control(agent, controllers, episodes)
    z_dim = agent.memory.config.z_dim

    def flat(array):
        return array.reshape(individuals * episodes, *array.shape[2:])

    def square(array):
        return array.reshape(individuals, episodes, *array.shape[1:])

    def body(carry):
        time, now, agent_state, ended, drive = carry
        see = jax.vmap(lambda number, now: draw(choose(scenes, number), now))
        seen = jax.vmap(see, in_axes=(None, 0))(numbers, now)  # (P, E, 64, 64, 3)
        noise = jax.vmap(lambda key: _noise(key, time, z_dim))(noise_keys)
        noise = jnp.broadcast_to(noise, (individuals, *noise.shape))
        action, _, agent_state = act(agent, agent_params, choice, flat(seen), flat(noise), agent_state)
        on_tracks = jax.vmap(step, in_axes=(0, 0, 0, None))
        after, reward, terminated, _, info = jax.vmap(on_tracks, in_axes=(None, 0, 0, None))(
            tracks, now, square(action), params
        )
        drive = Drive(
            drive.returns + jnp.where(ended, 0.0, reward),
            drive.lengths + ~ended,
            drive.rewarded + (~ended & (reward > 0)),
            jnp.where(ended, drive.tiles, info["tiles_visited"] / tracks.count),
        )
        return time + 1, after, observe_reward(agent_state, flat(reward)), ended | terminated, drive

    def running(carry):
        return (carry[0] < steps) & ~carry[3].all()

    start = jax.vmap(reset, in_axes=(0, None))(tracks, params)
    start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (individuals, *leaf.shape)), start)
    zeros = jnp.zeros((individuals, episodes))
    agent_state, nothing = initial_state(agent, individuals * episodes), Drive(zeros, zeros, zeros, zeros)
    return lax.while_loop(running, body, (jnp.int32(0), start, agent_state, zeros > 0, nothing))[-1]


def driver(
    agent: Agent,
    agent_params: AgentParams,
    controller: Any,
    see: Callable[[Dynamic], jax.Array],
    actions: jax.Array,
    instead: jax.Array,
) -> Policy:
    """Returns the agent as a policy for `rollout`, whose states must be pairs of the game's state and the last reward.

    Args:
      agent: networks of the agent.
      agent_params: parameters of vision and memory.
      controller: parameters of the controller.
      see: state of the game -> frame.
      actions: (T, 3), given actions.
      instead: (T,) bool, the steps in which the given action replaces the controller's.

    Returns:
      The policy; its memory is (step, agent's state), `(0, initial_state(agent, 1))` at first.
    """
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), 1)

    def policy(memory, state, key):
        (number, agent_state), (now, reward) = memory, state

        def choose(*known):
            return jnp.where(instead[number], controller_actions(actions[number]), choice(*known))

        noise = jax.random.normal(key, (1, agent.memory.config.z_dim))
        agent_state = observe_reward(agent_state, reward[None])
        action, _, agent_state = act(agent, agent_params, choose, see(now)[None], noise, agent_state)
        return (number + 1, agent_state), action[0]

    return policy


def dream_returns(agent: Agent, dream: Dream, params: DreamParams, controllers: Any, keys: jax.Array) -> jax.Array:
    """Returns sums of rewards (P, E) of P controllers in E dreams each, of params.max_steps_in_episode steps.

    Args:
      agent: networks of the agent.
      dream: environment of its memory.
      params: of the dream.
      controllers: parameters of the controllers, each with a leading axis P.
      keys: (E,), one per dream; decides its start and its noise, the same for all controllers.
    """
    individuals, episodes = jax.tree.leaves(controllers)[0].shape[0], keys.shape[0]
    choice = control(agent, controllers, episodes)
    begin_keys, step_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    in_dreams = jax.vmap(dream.advance, in_axes=(None, 0, 0, 0))

    def body(carry, time):
        now, returns = carry
        known = (array.reshape(-1, array.shape[-1]) for array in (now.z, *now.carry))
        actions = driving_controls(choice(*known)).reshape(individuals, episodes, -1)
        here = jax.vmap(jax.random.fold_in, in_axes=(0, None))(step_keys, time)
        # The keys have no axis of controllers: all controllers share the same noise.
        now = jax.vmap(in_dreams, in_axes=(None, 0, 0, None))(params, now, actions, here)
        return (now, returns + now.reward), None

    now = jax.vmap(dream.begin, in_axes=(None, 0))(params, begin_keys)
    now = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (individuals, *leaf.shape)), now)
    start = now, jnp.zeros((individuals, episodes))
    (_, returns), _ = lax.scan(body, start, jnp.arange(params.max_steps_in_episode))
    return returns


def film(
    agent: Agent, agent_params: AgentParams, controller: Any, key: jax.Array, frames: str, steps: int
) -> dict[str, jax.Array]:
    """Drives one episode, the one that `drive` drives with this key, and records every step.

    Args:
      agent: networks of the agent.
      agent_params: parameters of vision and memory.
      controller: parameters of the controller.
      key: of the track and the noise.
      frames: a name of FRAMES.
      steps: number of steps T.

    Returns:
      {"frame" (T, 64, 64, 3) uint8, "car" (T, ...), "z" (T, z_dim), "action" (T, 3), "reward" (T,), "running" (T,)
      bool}; recording continues after the end of the episode, where "running" is false.
    """
    worlds, noise_keys = _worlds_and_noise(key[None], frames)
    track, scene = jax.tree.map(lambda leaf: leaf[0], worlds)
    params, draw = FRAMES[frames]
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), 1)

    def body(carry, time):
        now, agent_state, running = carry
        frame = draw(scene, now)
        noise = _noise(noise_keys[0], time, agent.memory.config.z_dim)
        action, z, agent_state = act(agent, agent_params, choice, frame[None], noise[None], agent_state)
        after, reward, terminated, _, _ = step(track, now, action[0], params)
        row = {"frame": frame, "car": now.car, "z": z[0], "action": action[0], "reward": reward, "running": running}
        return (after, observe_reward(agent_state, reward[None]), running & ~terminated), row

    start = reset(track, params), initial_state(agent, 1), jnp.bool_(True)
    return lax.scan(body, start, jnp.arange(steps))[1]


def views(cars: Car, times: jax.Array, key: jax.Array, frames: str, height: int, width: int) -> jax.Array:
    """Returns large pictures (T, height, width, 3) uint8 of the episode that `film` recorded with this key.

    Args:
      cars: (T, ...), from `film`.
      times: (T,) int32, their steps, counted from 1.
      key: of the episode.
      frames: a name of FRAMES.
      height, width: of the pictures, in pixels.
    """
    (_, scenes), _ = _worlds_and_noise(key[None], frames)
    scene = jax.tree.map(lambda leaf: leaf[0], scenes)
    return lax.map(lambda now: draw_view(scene, now[0], now[1] / FPS, height, width), (cars, times))


def dream_film(
    agent: Agent, dream: Dream, params: DreamParams, controller: Any, key: jax.Array, steps: int
) -> dict[str, jax.Array]:
    """Runs one dream and records every step.

    Args:
      agent: networks of the agent.
      dream: environment of its memory.
      params: of the dream.
      controller: parameters of the controller.
      key: of the dream's start and noise.
      steps: number of steps T.

    Returns:
      {"z" (T, z_dim), "reward" (T,) 0 or 1, "running" (T,) bool}; recording continues after the end of the dream, where
      "running" is false.
    """
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), 1)
    begin_key, step_key = jax.random.split(key)

    def body(now, time):
        action = driving_controls(choice(*(known[None] for known in (now.z, *now.carry))))[0]
        after = dream.advance(params, now, action, jax.random.fold_in(step_key, time))
        return after, {"z": now.z, "reward": after.reward, "running": ~now.done}

    return lax.scan(body, dream.begin(params, begin_key), jnp.arange(steps))[1]
