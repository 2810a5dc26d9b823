"""World models, stage 1 (book chapter 8): rollouts of a random policy, in shards on disk.

    python -m experiments.worlds.rollouts                          1,000 episodes of 200 steps, from random tiles
    python -m experiments.worlds.rollouts --config=book            the book's: 1,000 episodes of 300 steps
    python -m experiments.worlds.rollouts --config=paper           the paper's: 10,000 episodes of 1,000 steps
    python -m experiments.worlds.rollouts --policy=brownian --out=runs/brownian

All cars of a shard drive in one compiled program. Shards are written atomically; rerun the same command to resume with
the first missing one. Frames are uint8. `--frames=gymnasium` are those of gymnasium's CarRacing-v3, resized to 64x64,
so that the agent can be evaluated there; `--frames=book` are those of the book's copy of the game, without the opening
zoom.

The policy decides what the vision can learn. Uniform actions (`held_uniform`, held for 5 steps) brake half of the time:
in 300 steps the car covers 9 tiles of the initial straight, so that no frame shows a bend. With `book_2020` it covers
15, and two thirds of the frames are off the road. With random starting tiles, a quarter of the frames on the road show
a bend. No random policy follows a bend at speed; for such frames, give a controller of an earlier round as `--driver`.
"""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags

from experiments.worlds.agent import digest_of_params, mean_controller
from experiments.worlds.driving import driver
from experiments.worlds.game import FRAMES, make_worlds
from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import AtLeast, IsPath, OneOf
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.loop import Stop
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.shards import check_shard, has_shard, read_notes, write_shard
from gdl_jax.envs.car_racing import policies
from gdl_jax.envs.car_racing.scene import Scene, choose
from gdl_jax.envs.car_racing.simulation import reset, step
from gdl_jax.envs.car_racing.track import Track
from gdl_jax.envs.rollouts import open_loop, rollout
from gdl_jax.models.agent import Agent, AgentParams, initial_state
from gdl_jax.runs import command
from gdl_jax.runs.restore import restore

POLICIES = {
    "held_uniform": policies.held_uniform,
    "book_2020": policies.book_2020,
    "brownian": lambda key, steps, hold: policies.brownian(key, steps),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    episodes: Annotated[int, AtLeast(1)] = 200  # total number
    steps: Annotated[int, AtLeast(1)] = 300  # steps per episode
    # held_uniform (the book's of 2019), book_2020, brownian
    policy: Annotated[str, OneOf(*POLICIES)] = "held_uniform"
    hold: Annotated[int, AtLeast(1)] = 5  # steps for which an action is held; ignored by brownian
    # workdir of a controller that drives, except in a random share of each episode's steps; empty: random actions only
    driver: Annotated[str, IsPath()] = ""
    start_anywhere: bool = False  # start on a random tile of the track, not on the first
    # gymnasium (opening zoom) or book (constant zoom), both 64x64
    frames: Annotated[str, OneOf(*FRAMES)] = "gymnasium"
    # episodes per shard, which must fit into memory; divides `episodes`
    shard_episodes: Annotated[int, AtLeast(1)] = 50
    seed: int = 0  # of tracks and actions

    def __post_init__(self):
        config_flags.check(self)
        if self.episodes % self.shard_episodes:
            raise ConfigError("episodes", self.episodes, f"must be a multiple of shard_episodes={self.shard_episodes}")


PRESETS = {
    "small": Config(episodes=1000, steps=200, policy="book_2020", start_anywhere=True),
    "book": Config(episodes=1000),
    "paper": Config(episodes=10_000, steps=1000, shard_episodes=20),
    "tiny": Config(episodes=20, steps=8, shard_episodes=10),
}


class Driver(NamedTuple):
    """Trained agent that drives where actions are not random.

    Attributes:
      agent: its networks.
      params: parameters of vision and memory, and of the controller.
      digest: fingerprint of these parameters.
    """

    agent: Agent
    params: tuple[AgentParams, Any]
    digest: str


def _load_driver(config: Config) -> Driver:
    try:
        run = restore(Path(config.driver), warn=command.warn, expected="world_controller").run
        if run.config.frames != config.frames:
            raise UserError(f"was trained on frames={run.config.frames}, not {config.frames}")
    except UserError as error:
        raise ConfigError("driver", config.driver, str(error)) from error
    controller = mean_controller(run)
    return Driver(run.data.agent, (run.data.params, controller), f"{run.data.digest} {digest_of_params(controller)}")


def _random_steps(config: Config, key: jax.Array) -> jax.Array:
    """Returns a mask (T,) of the steps with random actions; their share is drawn from U(0, 1)."""
    share_key, which_key = jax.random.split(key)
    drawn = jax.random.uniform(which_key, (-(-config.steps // config.hold),)) < jax.random.uniform(share_key)
    return policies.held(drawn, config.steps, config.hold)


def _episode(
    config: Config,
    driven_by: tuple[Agent | None, tuple[AgentParams, Any] | tuple[()]],
    scenes: Scene,
    number: jax.Array,
    track: Track,
    start: jax.Array,
    actions: jax.Array,
    share_key: jax.Array,
    drive_key: jax.Array,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the frames (T, H, W, 3) of one episode, and its other rows; see `collect`.

    Args:
      config: of the rollouts.
      driven_by: agent and parameters of the driver; None and () without a driver.
      scenes: of all episodes.
      number: index of this episode's scene.
      track: of this episode.
      start: tile on which the car starts.
      actions: (T, 3), random.
      share_key: with a driver, decides the steps with random actions.
      drive_key: of the driver's noise.
    """
    params, draw = FRAMES[config.frames]
    agent, agent_params = driven_by

    def see(now):
        return draw(choose(scenes, number), now)

    def advance(state, action, key):
        after, reward, *rest = step(track, state[0], action, params)
        return (after, reward), reward, *rest

    def record(state, action, reward, after):
        return see(state[0]), action, reward

    if agent is None:
        policy, memory = open_loop(actions), 0
    else:
        policy = driver(agent, *agent_params, see, actions, _random_steps(config, share_key))
        memory = 0, initial_state(agent, 1)
    first = reset(track, params, start), jnp.float32(0)
    found = rollout(advance, policy, first, memory, drive_key, config.steps, record)
    frames, action, reward = found.records
    done = found.terminated & (jnp.arange(config.steps) == found.length - 1)
    return frames, {"action": action, "reward": reward, "done": done, "length": found.length}


def collect(
    config: Config, key: jax.Array, episodes: int, agent: Agent | None = None, params: tuple[AgentParams, Any] = ()
) -> dict[str, jax.Array]:
    """Returns the rows of a shard of episodes, except that the frames' first two axes are (T, E); to be compiled.

    Args:
      config: of the rollouts.
      key: of tracks, actions and noise.
      episodes: E.
      agent, params: of the driver, if there is one.
    """
    world_key, policy_key, start_key, share_key, drive_key = jax.random.split(key, 5)
    tracks, scenes = make_worlds(jax.random.split(world_key, episodes), FRAMES[config.frames][0].playfield)
    keys = jax.random.split(policy_key, episodes)
    actions = jax.vmap(lambda key: POLICIES[config.policy](key, config.steps, config.hold))(keys)  # (E, T, 3)
    starts = jnp.zeros(episodes, jnp.int32)
    if config.start_anywhere:
        starts = jax.random.randint(start_key, (episodes,), 0, tracks.count)
    share_keys, drive_keys = (jax.random.split(key, episodes) for key in (share_key, drive_key))
    each = jnp.arange(episodes), tracks, starts, actions, share_keys, drive_keys
    episode = partial(_episode, config, (agent, params), scenes)
    frames, rows = jax.vmap(episode, out_axes=(1, 0))(*each)
    return rows | {"frames": frames}


def _check_same(root: Path, now: dict[str, Any]) -> None:
    """Checks that all existing shards were made with this config.

    Raises:
      ConfigError: they were not; names the fields that changed.
    """
    for path in sorted(root.glob("[0-9]*.json")):
        before = dataclasses.asdict(Config()) | read_notes(root, int(path.stem))  # older ones have fewer flags
        changed = config_flags.changed(before, now, ignore=("episodes",))
        if changed:
            reason = f"holds rollouts of another config: {'; '.join(changed)} (choose another folder)"
            raise ConfigError("out", root, reason)


def _main(values: flags.FlagValues) -> None:
    config = dataclasses.replace(PRESETS[values.config], **config_flags.chosen(Config, values))
    root = Path(values.out)
    notes = dataclasses.asdict(config)
    agent, params = None, ()
    if config.driver:
        agent, params, notes["driver"] = _load_driver(config)
    _check_same(root, notes)
    run = jax.jit(collect, static_argnums=(0, 2, 3))
    shards = config.episodes // config.shard_episodes
    with Stop() as stop, progress_bar(total=config.episodes * config.steps, unit="frames") as bar:
        for number in range(shards):
            if has_shard(root, number):
                check_shard(root, number)
            else:
                command.stop_if_requested(stop)
                key = jax.random.fold_in(jax.random.key(config.seed), number)
                rows = jax.device_get(run(config, key, config.shard_episodes, agent, params))
                write_shard(root, number, rows | {"frames": rows["frames"].swapaxes(0, 1)}, notes, of=shards)
            bar.update(config.shard_episodes * config.steps)
        command.stop_if_requested(stop)
    sys.stderr.write(f"{config.episodes} episodes of {config.steps} steps: {root}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.worlds.rollouts`."""
    argv = sys.argv if argv is None else argv
    values = command.new_flags()
    command.define_path("out", "runs/world/rollouts", "folder for the shards", values)
    flags.DEFINE_enum("config", "small", list(PRESETS), "preset; other flags override it", flag_values=values)
    asked = [text.partition("=")[2] for text in argv if text.startswith("--config=")]
    config_flags.define(PRESETS.get(asked[-1] if asked else "small", PRESETS["small"]), values)
    command.run(_main, __doc__, values, argv)


if __name__ == "__main__":
    main()
