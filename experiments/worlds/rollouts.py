"""World models, stage 1 (book chapter 8): what a random driver sees and does, in shards on disk.

    python -m experiments.worlds.rollouts                                 1,000 episodes of 200 steps, from anywhere
    python -m experiments.worlds.rollouts --config=book                   the book's: 1,000 episodes of 300 steps
    python -m experiments.worlds.rollouts --config=paper                  the paper's: 10,000 episodes of 1,000 steps
    python -m experiments.worlds.rollouts --policy=brownian --out=runs/brownian

All cars of a shard drive at once, in one compiled program. A shard is written whole or not at all: the same command
again goes on with the first that is missing. Frames are uint8; `--frames=gymnasium` is what gymnasium's CarRacing-v3
gives, brought to 64x64 (so that an agent can be driven there), and `--frames=book` is the picture of the book's copy of
the game, without the opening zoom.

Uniform actions (`held_uniform`, held for 5 steps) brake as often as not: in 300 steps the car covers 9 tiles of the
straight that it starts on, and a vision that is trained on that sees no bend. `book_2020` covers 15, and two thirds of
the frames are beside the road. Where cars start anywhere, a quarter of the frames on the road show a bend. What it is
like to follow one at speed, no random driver knows: `--driver`, a controller of an earlier round, shows it.
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
from gdl_jax.core.config_flags import AtLeast, OneOf
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
    episodes: Annotated[int, AtLeast(1)] = 200  # in all
    steps: Annotated[int, AtLeast(1)] = 300  # of each episode
    # held_uniform (the book's of 2019), book_2020, brownian
    policy: Annotated[str, OneOf(*POLICIES)] = "held_uniform"
    hold: Annotated[int, AtLeast(1)] = 5  # steps that an action is held for; brownian has a new one at each
    driver: str = ""  # workdir of a controller, which drives but for a random share (0 to 1) of each episode
    start_anywhere: bool = False  # on any tile of the track, not always on the first
    # gymnasium (opening zoom) or book (constant zoom), both 64x64
    frames: Annotated[str, OneOf(*FRAMES)] = "gymnasium"
    # in a shard, which has to fit into memory; divides the episodes
    shard_episodes: Annotated[int, AtLeast(1)] = 50
    seed: int = 0  # decides tracks and actions

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
    """Who drives where it is not left to chance.

    Attributes:
      agent: its networks.
      learnt: the parameters of vision and memory, and the controller's.
      digest: tells it from others.
    """

    agent: Agent
    learnt: tuple[AgentParams, Any]
    digest: str


def _load_driver(config: Config) -> Driver:
    try:
        run = restore(Path(config.driver), warn=command.warn, expected="world_controller").run
        if run.config.frames != config.frames:
            raise UserError(f"drives by frames={run.config.frames}, not {config.frames}")
    except UserError as error:
        raise ConfigError("driver", config.driver, str(error)) from error
    controller = mean_controller(run)
    return Driver(run.data.agent, (run.data.params, controller), f"{run.data.digest} {digest_of_params(controller)}")


def _by_chance(config: Config, key: jax.Array) -> jax.Array:
    """Returns which actions (T,) are random: a share of them that is itself drawn from U(0, 1)."""
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
      config: the rollouts'.
      driven_by: agent and parameters of the driver; None and () where there is none.
      scenes: all episodes'.
      number: which of them is this one's.
      track: of this episode.
      start: the tile that the car starts on.
      actions: (T, 3), random ones.
      share_key: decides which of them are done where there is a driver.
      drive_key: of what is random in driving.
    """
    params, draw = FRAMES[config.frames]
    agent, learnt = driven_by

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
        policy = driver(agent, *learnt, see, actions, _by_chance(config, share_key))
        memory = 0, initial_state(agent, 1)
    first = reset(track, params, start), jnp.float32(0)
    found = rollout(advance, policy, first, memory, drive_key, config.steps, record)
    frames, action, reward = found.records
    done = found.terminated & (jnp.arange(config.steps) == found.length - 1)
    return frames, {"action": action, "reward": reward, "done": done, "length": found.length}


def collect(
    config: Config, key: jax.Array, episodes: int, agent: Agent | None = None, learnt: tuple[AgentParams, Any] = ()
) -> dict[str, jax.Array]:
    """Returns episodes as shards have them, but for the frames' first two axes, which are (T, E); to be compiled.

    Args:
      config: the rollouts'.
      key: of tracks, actions and noise.
      episodes: E.
      agent, learnt: of the driver, if there is one.
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
    episode = partial(_episode, config, (agent, learnt), scenes)
    frames, rows = jax.vmap(episode, out_axes=(1, 0))(*each)
    return rows | {"frames": frames}


def _check_same(root: Path, now: dict[str, Any]) -> None:
    """Checks that all shards that are there have these notes.

    Raises:
      ConfigError: they have others; names the fields that changed.
    """
    for path in sorted(root.glob("[0-9]*.json")):
        before = dataclasses.asdict(Config()) | read_notes(root, int(path.stem))  # older ones know fewer flags
        changed = config_flags.changed(before, now, ignore=("episodes",))
        if changed:
            reason = f"holds rollouts of another config: {'; '.join(changed)} (give another folder)"
            raise ConfigError("out", root, reason)


def _main(values: flags.FlagValues) -> None:
    config = dataclasses.replace(PRESETS[values.config], **config_flags.chosen(Config, values))
    root = Path(values.out)
    notes = dataclasses.asdict(config)
    agent, learnt = None, ()
    if config.driver:
        agent, learnt, notes["driver"] = _load_driver(config)
    _check_same(root, notes)
    run = jax.jit(collect, static_argnums=(0, 2, 3))
    shards = config.episodes // config.shard_episodes
    with Stop() as stop, progress_bar(total=config.episodes * config.steps, unit="frames") as bar:
        for number in range(shards):
            if has_shard(root, number):
                check_shard(root, number)
            else:
                command.leave_if_asked(stop)
                key = jax.random.fold_in(jax.random.key(config.seed), number)
                rows = jax.device_get(run(config, key, config.shard_episodes, agent, learnt))
                write_shard(root, number, rows | {"frames": rows["frames"].swapaxes(0, 1)}, notes, of=shards)
            bar.update(config.shard_episodes * config.steps)
        command.leave_if_asked(stop)
    sys.stderr.write(f"{config.episodes} episodes of {config.steps} steps: {root}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.worlds.rollouts`."""
    argv = sys.argv if argv is None else argv
    values = command.new_flags()
    flags.DEFINE_string("out", "runs/world/rollouts", "folder for the shards", flag_values=values)
    flags.DEFINE_enum("config", "small", list(PRESETS), "preset that the other flags change", flag_values=values)
    asked = [text.partition("=")[2] for text in argv if text.startswith("--config=")]
    config_flags.define(PRESETS.get(asked[-1] if asked else "small", PRESETS["small"]), values)
    command.run(_main, __doc__, values, argv)


if __name__ == "__main__":
    main()
