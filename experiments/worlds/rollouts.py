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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags

from experiments.worlds.agent import digest_of_params
from experiments.worlds.controller import mean_controller
from experiments.worlds.driving import driver
from experiments.worlds.game import FRAMES, make_worlds
from gdl_jax.core import config_flags
from gdl_jax.core.errors import UserError
from gdl_jax.core.loop import Stop
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.shards import check_shard, has_shard, read_notes, write_shard
from gdl_jax.envs.car_racing import policies
from gdl_jax.envs.car_racing.scene import choose
from gdl_jax.envs.car_racing.simulation import reset, step
from gdl_jax.envs.rollouts import open_loop, rollout
from gdl_jax.models.agent import Agent, Knowledge, empty_mind
from gdl_jax.runs import command
from gdl_jax.runs.restore import restore

POLICIES = {
    "held_uniform": policies.held_uniform,
    "book_2020": policies.book_2020,
    "brownian": lambda key, steps, hold: policies.brownian(key, steps),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    episodes: int = 200  # in all
    steps: int = 300  # of each episode
    policy: str = "held_uniform"  # held_uniform (the book's of 2019), book_2020, brownian
    hold: int = 5  # steps that an action is held for; brownian has a new one at each
    driver: str = ""  # workdir of a controller, which drives but for a random share (0 to 1) of each episode
    start_anywhere: bool = False  # on any tile of the track, not always on the first
    frames: str = "gymnasium"  # gymnasium (opening zoom) or book (constant zoom), both 64x64
    shard_episodes: int = 50  # in a shard, which has to fit into memory; divides the episodes
    seed: int = 0  # decides tracks and actions

    def __post_init__(self):
        for name in ("episodes", "steps", "hold", "shard_episodes"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name}={getattr(self, name)}: must be at least 1")
        if self.episodes % self.shard_episodes:
            raise UserError(f"--episodes={self.episodes}: must be a multiple of --shard_episodes={self.shard_episodes}")
        for name, known in (("policy", POLICIES), ("frames", FRAMES)):
            if getattr(self, name) not in known:
                raise UserError(f"--{name}={getattr(self, name)}: unknown; choose one of {', '.join(known)}")


PRESETS = {
    "small": Config(episodes=1000, steps=200, policy="book_2020", start_anywhere=True),
    "book": Config(episodes=1000),
    "paper": Config(episodes=10_000, steps=1000, shard_episodes=20),
}


class Driver(NamedTuple):
    """Who drives where it is not left to chance.

    Attributes:
      agent: its networks.
      learnt: what vision and memory know, and the controller's parameters.
      digest: tells it from others.
    """

    agent: Agent
    learnt: tuple[Knowledge, Any]
    digest: str


def _load_driver(config: Config) -> Driver:
    try:
        run = restore(Path(config.driver), warn=command.warn, expected="world_controller").run
        if run.config.frames != config.frames:
            raise UserError(f"drives by --frames={run.config.frames}, not {config.frames}")
    except UserError as error:
        raise UserError(f"--driver={config.driver}: {error}") from error
    controller = mean_controller(run)
    return Driver(run.data.agent, (run.data.knowledge, controller), f"{run.data.digest} {digest_of_params(controller)}")


def collect(
    config: Config, key: jax.Array, episodes: int, agent: Agent | None = None, learnt: tuple[Knowledge, Any] = ()
) -> dict[str, jax.Array]:
    """Episodes as shards have them, but for the frames' first two axes, which are (T, E). Compiled; one shard.

    Args:
      config: the rollouts'.
      key: of tracks, actions and noise.
      episodes: E.
      agent, learnt: of the driver, if there is one.
    """
    params, draw = FRAMES[config.frames]
    world_key, policy_key, start_key, share_key, drive_key = jax.random.split(key, 5)
    tracks, scenes = make_worlds(jax.random.split(world_key, episodes), params.playfield)
    keys = jax.random.split(policy_key, episodes)
    actions = jax.vmap(lambda key: POLICIES[config.policy](key, config.steps, config.hold))(keys)  # (E, T, 3)
    starts = jnp.zeros(episodes, jnp.int32)
    if config.start_anywhere:
        starts = jax.random.randint(start_key, (episodes,), 0, tracks.count)

    def by_chance(key):
        """(T,), which actions are random: a share of them that is itself drawn from U(0, 1)."""
        share_key, which_key = jax.random.split(key)
        drawn = jax.random.uniform(which_key, (-(-config.steps // config.hold),)) < jax.random.uniform(share_key)
        return policies.held(drawn, config.steps, config.hold)

    def episode(number, track, start, actions, share_key, drive_key):
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
            policy = driver(agent, *learnt, see, actions, by_chance(share_key))
            memory = 0, empty_mind(agent, 1)
        first = reset(track, params, start), jnp.float32(0)
        found = rollout(advance, policy, first, memory, drive_key, config.steps, record)
        frames, action, reward = found.records
        done = found.terminated & (jnp.arange(config.steps) == found.length - 1)
        return frames, {"action": action, "reward": reward, "done": done, "length": found.length}

    share_keys, drive_keys = (jax.random.split(key, episodes) for key in (share_key, drive_key))
    each = jnp.arange(episodes), tracks, starts, actions, share_keys, drive_keys
    frames, rows = jax.vmap(episode, out_axes=(1, 0))(*each)
    return rows | {"frames": frames}


def _check_same(root: Path, now: dict[str, Any]) -> None:
    """All shards that are there must have these notes.

    Raises:
      UserError: they have others; names the flags that changed.
    """
    for path in sorted(root.glob("[0-9]*.json")):
        before = dataclasses.asdict(Config()) | read_notes(root, int(path.stem))  # older ones know fewer flags
        changed = config_flags.changed(before, now, ignore=("episodes",))
        if changed:
            raise UserError(f"--out={root} holds rollouts of another config: {'; '.join(changed)} (give another --out)")


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


def main(argv=None) -> None:
    """What `python -m experiments.worlds.rollouts` does."""
    argv = sys.argv if argv is None else argv
    values = command.new_flags()
    flags.DEFINE_string("out", "runs/world/rollouts", "folder for the shards", flag_values=values)
    flags.DEFINE_enum("config", "small", list(PRESETS), "preset that the other flags change", flag_values=values)
    asked = [text.partition("=")[2] for text in argv if text.startswith("--config=")]
    config_flags.define(PRESETS.get(asked[-1] if asked else "small", PRESETS["small"]), values)
    command.run(_main, __doc__, values, argv)


if __name__ == "__main__":
    main()
