"""World models, stage 1 (book chapter 8): what a random driver sees and does, in shards on disk.

    python -m experiments.world_rollouts                                 200 episodes of 300 steps
    python -m experiments.world_rollouts --config=book                   the book's: 1,000 episodes of 300 steps
    python -m experiments.world_rollouts --config=paper                  the paper's: 10,000 episodes of 1,000 steps
    python -m experiments.world_rollouts --policy=brownian --out=runs/brownian

All cars of a shard drive at once, in one compiled program. A shard is written whole or not at all: the same command
again goes on with the first that is missing. Frames are uint8; `--frames=gymnasium` is what gymnasium's CarRacing-v3
gives, brought to 64x64 (so that an agent can be driven there), and `--frames=book` is the picture of the book's copy of
the game, without the opening zoom.

Uniform actions (`held_uniform`, held for 5 steps) brake as often as not: in 300 steps the car covers 9 tiles of the
straight that it starts on, and a vision that is trained on that sees no bend. `book_2020` covers 15, and two thirds of
the frames are beside the road.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import flags
from tqdm import tqdm

from experiments import command
from gdl_jax.core import flags as config_flags
from gdl_jax.core.errors import UserError
from gdl_jax.core.loop import Stop
from gdl_jax.data.shards import has_shard, read_notes, write_shard
from gdl_jax.envs.car_racing import policies
from gdl_jax.envs.car_racing.colours import default_colours
from gdl_jax.envs.car_racing.env import PICTURES
from gdl_jax.envs.car_racing.scene import Scene, choose, rasterise
from gdl_jax.envs.car_racing.simulation import BOOK_PARAMS, Dynamic, EnvParams, reset, step
from gdl_jax.envs.car_racing.track import Track, make_track
from gdl_jax.envs.rollouts import open_loop, rollout

POLICIES = {
    "held_uniform": policies.held_uniform,
    "book_2020": policies.book_2020,
    "brownian": lambda key, steps, hold: policies.brownian(key, steps),
}
# name -> parameters of the game, and (scene, all that changes) -> frame
FRAMES: Mapping[str, tuple[EnvParams, Callable[[Scene, Dynamic], jax.Array]]] = {
    "gymnasium": (EnvParams(), PICTURES["gymnasium64"][1]),
    "book": (BOOK_PARAMS, PICTURES["book"][1]),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    episodes: int = 200  # in all
    steps: int = 300  # of each episode
    policy: str = "held_uniform"  # held_uniform (the book's of 2019), book_2020, brownian
    hold: int = 5  # steps that an action is held for; brownian has a new one at each
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
    "small": Config(),
    "book": Config(episodes=1000),
    "paper": Config(episodes=10_000, steps=1000, shard_episodes=20),
}


def make_worlds(keys: jax.Array, playfield: float) -> tuple[Track, Scene]:
    """A random track for each key (N,), and their scenes, each array with a leading axis of N."""
    tracks = jax.vmap(make_track)(keys)
    return tracks, jax.lax.map(lambda track: rasterise(track, default_colours(), playfield), tracks)


def collect(config: Config, key: jax.Array, episodes: int) -> dict[str, jax.Array]:
    """Episodes as shards have them, but for the frames' first two axes, which are (T, E). Compiled; one shard."""
    params, draw = FRAMES[config.frames]
    world_key, policy_key = jax.random.split(key)
    tracks, scenes = make_worlds(jax.random.split(world_key, episodes), params.playfield)
    keys = jax.random.split(policy_key, episodes)
    actions = jax.vmap(lambda key: POLICIES[config.policy](key, config.steps, config.hold))(keys)  # (E, T, 3)

    def episode(number, track, actions):
        def advance(now, action, key):
            return step(track, now, action, params)

        def record(now, action, reward, after):
            return draw(choose(scenes, number), now), reward

        no_key = jax.random.key(0)  # all that is random is in the actions
        found = rollout(advance, open_loop(actions), reset(track, params), 0, no_key, config.steps, record)
        frames, reward = found.records
        done = found.terminated & (jnp.arange(config.steps) == found.length - 1)
        return frames, {"action": actions, "reward": reward, "done": done, "length": found.length}

    frames, rows = jax.vmap(episode, out_axes=(1, 0))(jnp.arange(episodes), tracks, actions)
    return rows | {"frames": frames}


def _check_same(root: Path, config: Config) -> None:
    """All shards that are there must be of this config.

    Raises:
      UserError: they are of another; names the flags that changed.
    """
    now = dataclasses.asdict(config)
    for path in sorted(root.glob("[0-9]*.json")):
        changed = config_flags.changed(read_notes(root, int(path.stem)), now, ignore=("episodes",))
        if changed:
            raise UserError(f"--out={root} holds rollouts of another config: {'; '.join(changed)} (give another --out)")


def _main(values: flags.FlagValues) -> None:
    config = dataclasses.replace(PRESETS[values.config], **config_flags.chosen(Config, values))
    root = Path(values.out)
    _check_same(root, config)
    run = jax.jit(collect, static_argnums=(0, 2))
    notes = dataclasses.asdict(config)
    with Stop() as stop, tqdm(total=config.episodes * config.steps, unit=" frames", disable=None) as bar:
        for number in range(config.episodes // config.shard_episodes):
            if not has_shard(root, number):
                command.leave_if_asked(stop)
                key = jax.random.fold_in(jax.random.key(config.seed), number)
                rows = jax.device_get(run(config, key, config.shard_episodes))
                write_shard(root, number, rows | {"frames": rows["frames"].swapaxes(0, 1)}, notes)
            bar.update(config.shard_episodes * config.steps)
    sys.stderr.write(f"{config.episodes} episodes of {config.steps} steps: {root}\n")


def main(argv=None) -> None:
    """What `python -m experiments.world_rollouts` does."""
    argv = sys.argv if argv is None else argv
    values = command.new_flags()
    flags.DEFINE_string("out", "runs/world/rollouts", "folder for the shards", flag_values=values)
    flags.DEFINE_enum("config", "small", list(PRESETS), "preset that the other flags change", flag_values=values)
    asked = [text.partition("=")[2] for text in argv if text.startswith("--config=")]
    config_flags.define(PRESETS.get(asked[-1] if asked else "small", PRESETS["small"]), values)
    command.run(_main, __doc__, values, argv)


if __name__ == "__main__":
    main()
