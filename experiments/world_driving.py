"""World models' agents in the racing game and in dreams: many controllers at once, in one compiled program."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from experiments.world_rollouts import FRAMES
from gdl_jax.envs.car_racing.car import hull_position
from gdl_jax.envs.car_racing.scene import Scene, choose
from gdl_jax.envs.car_racing.simulation import reset, step
from gdl_jax.envs.car_racing.track import Track
from gdl_jax.envs.dream import Dream
from gdl_jax.envs.dream import EnvParams as DreamParams
from gdl_jax.models.agent import Agent, Knowledge, act, empty_mind, told
from gdl_jax.models.controller import driving_controls


class Drive(NamedTuple):
    """How episodes went, each (P, E) for P controllers on E tracks.

    Attributes:
      returns: sums of rewards.
      lengths: steps until the end.
      tiles: share of the track's tiles that were visited.
    """

    returns: jax.Array
    lengths: jax.Array
    tiles: jax.Array


def control(agent: Agent, controllers: Any, episodes: int) -> Callable:
    """The choice of P controllers with E agents each, in rows of P E: see `models.agent.Choice`."""

    def one(parameters, *known):
        return agent.controller.apply({"params": parameters}, *known)

    def choice(*known):
        grouped = [array.reshape(-1, episodes, array.shape[-1]) for array in known]
        actions = jax.vmap(one)(controllers, *grouped)
        return actions.reshape(-1, actions.shape[-1])

    return choice


def drive(
    agent: Agent,
    knowledge: Knowledge,
    controllers: Any,
    keys: jax.Array,
    worlds: tuple[Track, Scene],
    frames: str,
    steps: int,
) -> Drive:
    """Every controller drives on every track, until all have ended or `steps` are over.

    Args:
      controllers: the controller's parameters, each with a leading axis P.
      keys: (P,), for the noise of what is seen.
      worlds: tracks and scenes, each with a leading axis E.
      frames: a name of FRAMES.
      steps: at most.
    """
    tracks, scenes = worlds
    params, draw = FRAMES[frames]
    individuals, episodes = keys.shape[0], tracks.count.shape[0]
    numbers = jnp.arange(episodes)
    choice = control(agent, controllers, episodes)
    z_dim = agent.memory.config.z_dim

    def flat(array):
        return array.reshape(individuals * episodes, *array.shape[2:])

    def square(array):
        return array.reshape(individuals, episodes, *array.shape[1:])

    def body(carry):
        time, now, mind, ended, drive = carry
        see = jax.vmap(lambda number, now: draw(choose(scenes, number), now))
        seen = jax.vmap(see, in_axes=(None, 0))(numbers, now)  # (P, E, 64, 64, 3)
        noise = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, time), (episodes, z_dim)))(keys)
        action, _, mind = act(agent, knowledge, choice, flat(seen), flat(noise), mind)
        on_tracks = jax.vmap(step, in_axes=(0, 0, 0, None))
        after, reward, terminated, _, info = jax.vmap(on_tracks, in_axes=(None, 0, 0, None))(
            tracks, now, square(action), params
        )
        drive = Drive(
            drive.returns + jnp.where(ended, 0.0, reward),
            drive.lengths + ~ended,
            jnp.where(ended, drive.tiles, info["tiles_visited"] / tracks.count),
        )
        return time + 1, after, told(mind, flat(reward)), ended | terminated, drive

    def running(carry):
        return (carry[0] < steps) & ~carry[3].all()

    start = jax.vmap(reset, in_axes=(0, None))(tracks, params)
    start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (individuals, *leaf.shape)), start)
    zeros = jnp.zeros((individuals, episodes))
    mind = empty_mind(agent, individuals * episodes)
    return lax.while_loop(running, body, (jnp.int32(0), start, mind, zeros > 0, Drive(zeros, zeros, zeros)))[-1]


def dream_returns(
    agent: Agent, dream: Dream, params: DreamParams, controllers: Any, keys: jax.Array, episodes: int
) -> jax.Array:
    """Sums of rewards (P, E) of P controllers in E dreams each, of params.max_steps_in_episode steps.

    Args:
      controllers: the controller's parameters, each with a leading axis P.
      keys: (P,), one for each controller: of the dreams' beginnings and of what happens in them.
    """
    choice = control(agent, controllers, episodes)
    begin_keys, step_keys = jax.vmap(jax.random.split, out_axes=1)(keys)

    def body(carry, time):
        now, returns = carry
        here = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, time), episodes))(step_keys)
        actions = driving_controls(choice(now.z, *now.carry))
        now = jax.vmap(dream.advance, in_axes=(None, 0, 0, 0))(params, now, actions, here.reshape(-1))
        return (now, returns + now.reward), None

    first = jax.vmap(lambda key: jax.random.split(key, episodes))(begin_keys).reshape(-1)
    now = jax.vmap(dream.begin, in_axes=(None, 0))(params, first)
    (_, returns), _ = lax.scan(body, (now, jnp.zeros(first.shape)), jnp.arange(params.max_steps_in_episode))
    return returns.reshape(-1, episodes)


def film(
    agent: Agent,
    knowledge: Knowledge,
    controller: Any,
    key: jax.Array,
    world: tuple[Track, Scene],
    frames: str,
    steps: int,
) -> dict[str, jax.Array]:
    """One episode, step by step.

    Args:
      controller: the controller's parameters.
      world: a track and its scene.

    Returns:
      {"frame" (T, 64, 64, 3) uint8, "z" (T, z_dim), "position" (T, 2), "action" (T, 3), "reward" (T,), "running" (T,)
      bool}; what comes after the end is in it too.
    """
    track, scene = world
    params, draw = FRAMES[frames]
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), 1)

    def body(carry, time):
        now, mind, running = carry
        frame = draw(scene, now)
        noise = jax.random.normal(jax.random.fold_in(key, time), (1, agent.memory.config.z_dim))
        action, z, mind = act(agent, knowledge, choice, frame[None], noise, mind)
        after, reward, terminated, _, _ = step(track, now, action[0], params)
        row = {"frame": frame, "z": z[0], "position": hull_position(now.car), "action": action[0]}
        row |= {"reward": reward, "running": running}
        return (after, told(mind, reward[None]), running & ~terminated), row

    start = reset(track, params), empty_mind(agent, 1), jnp.bool_(True)
    return lax.scan(body, start, jnp.arange(steps))[1]
