"""World models, stage 6 (book chapter 8): evaluation of the trained agent in gymnasium's CarRacing-v3.

    python -m experiments.worlds.evaluate --workdir=runs/world/controller

Needs gymnasium[box2d]. Drives 100 episodes of gymnasium's game, several in parallel processes, and as many of ours.
Frames are gymnasium's, resized to 64x64. Adds `gymnasium/return` and `gdl_jax/return` to the run's results.json and
report; results of the same protocol are printed, not measured again. Rerun the same command to resume: finished
episodes are kept in WORKDIR/gymnasium_unfinished.json.
"""

import importlib.metadata
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.worlds.agent import digest_of_params, mean_controller
from experiments.worlds.driving import control, drive
from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import locate
from gdl_jax.core.json_files import read_json, write_json
from gdl_jax.core.loop import Stop
from gdl_jax.core.progress import progress_bar
from gdl_jax.envs.car_racing import picture
from gdl_jax.models.agent import act, initial_state, observe_reward
from gdl_jax.runs import command, report
from gdl_jax.runs.experiment import Results, Run
from gdl_jax.runs.measure import format_results
from gdl_jax.runs.records import add_results
from gdl_jax.runs.restore import restore

RESULTS = ("gymnasium/return", "gymnasium/steps", "gdl_jax/return")


@dataclass(frozen=True)
class Options:
    """Options of an evaluation, from the flags of the same names."""

    episodes: int
    games: int
    max_steps: int
    seed: int


def _summary(returns: np.ndarray) -> dict[str, Any]:
    return {"mean": float(returns.mean()), "std": float(returns.std(ddof=1)), "values": returns.tolist()}


def _policy(run: Run, controller: Any, options: Options) -> tuple[Callable, Callable]:
    """Returns the agent as `play` needs it: a function that begins a round of games, and one that acts in them."""
    agent, agent_params = run.data.agent, run.data.params
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), min(options.games, options.episodes))

    @jax.jit
    def advance(key, frames, rewards, agent_state):
        key, noise_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (frames.shape[0], agent.memory.config.z_dim))
        agent_state = observe_reward(agent_state, rewards)
        action, _, agent_state = act(agent, agent_params, choice, frames, noise, agent_state)
        return action, (key, agent_state)

    def begin(first, games):
        return jax.random.fold_in(jax.random.key(options.seed), first), initial_state(agent, games)

    def act_on(frames, rewards, known):
        key, agent_state = known
        actions, known = advance(key, picture.shrink(frames), jnp.asarray(rewards, jnp.float32), agent_state)
        return np.asarray(actions, np.float64), known

    return begin, act_on


def _in_gymnasium(
    run: Run, controller: Any, options: Options, played: dict[str, list], save: Callable[[], None]
) -> None:
    """Plays the episodes missing in `played`, adds their returns and lengths to it; calls `save` after each round."""
    from gdl_jax.envs.gymnasium_driving import play  # optional packages

    begin, act_on = _policy(run, controller, options)
    before = len(played["returns"])
    done, total = before * options.max_steps, options.episodes * options.max_steps
    with Stop() as stop, progress_bar(initial=done, total=total, unit="steps") as bar:

        def progress(steps):
            bar.update(steps)
            command.stop_if_requested(stop)

        more = {"seed": options.seed, "games": options.games, "max_steps": options.max_steps}
        with closing(play(begin, act_on, options.episodes, **more, first=before, progress=progress)) as rounds:
            for returns, lengths in rounds:
                played["returns"] += returns.tolist()
                played["lengths"] += lengths.tolist()
                save()
                command.stop_if_requested(stop)


def _protocol(run: Run, controller: Any, options: Options) -> dict[str, Any]:
    """Returns everything that the numbers depend on: equal protocols give equal numbers."""
    versions = {name: importlib.metadata.version(name) for name in ("gymnasium", "Box2D", "jax")}
    drives = {"agent": run.data.digest, "controller": digest_of_params(controller), "generations": run.step}
    return {**drives, **vars(options), "versions": versions}


def _played(unfinished: Path, protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the episodes saved by an interrupted evaluation of this protocol, or none for a new one."""
    try:
        played = read_json(unfinished)
    except UserError:
        played = {}
    if played.get("protocol") == protocol and len(played["returns"]) == len(played["lengths"]):
        return played
    return {"protocol": protocol, "returns": [], "lengths": []}


def measure(run: Run, controller: Any, options: Options, protocol: Mapping[str, Any], unfinished: Path) -> Results:
    """Returns the returns in both games; resumes an interrupted evaluation from the episodes in `unfinished`."""
    played = _played(unfinished, protocol)
    if len(played["returns"]) < options.episodes:
        _in_gymnasium(run, controller, options, played, lambda: write_json(unfinished, played))

    @jax.jit
    def ours(controller):
        one = jax.tree.map(lambda leaf: leaf[None], controller)
        keys = jax.random.split(jax.random.key(options.seed), options.episodes)
        return drive(run.data.agent, run.data.params, one, keys, run.config.frames, options.max_steps).returns[0]

    sys.stderr.write(f"{options.episodes} episodes of our game\n")
    gymnasium, steps = np.array(played["returns"]), float(np.mean(played["lengths"]))
    numbers = _summary(gymnasium), steps, _summary(np.asarray(ours(controller)))
    return {**dict(zip(RESULTS, numbers, strict=True)), "protocol": {"gymnasium": protocol}}


def _main(values: flags.FlagValues) -> None:
    options = Options(values.episodes, values.games, values.max_steps, values.seed)
    locate("Box2D", "worlds")
    workdir = command.workdir(values)
    run = restore(workdir, warn=command.warn, expected="world_controller").run
    if run.config.frames != "gymnasium":
        reason = f"was trained on frames={run.config.frames}, which gymnasium does not draw"
        raise ConfigError("workdir", workdir, reason)
    controller = mean_controller(run)
    path, protocol = workdir / "results.json", _protocol(run, controller, options)
    before = read_json(path).get("protocol", {}).get("gymnasium")
    if before != protocol:
        if before is not None:
            changed = "; ".join(config_flags.changed(before, protocol))
            command.warn(f"{path}: replacing results of another protocol ({changed})")
        unfinished = workdir / "gymnasium_unfinished.json"
        add_results(workdir, measure(run, controller, options, protocol, unfinished))
        unfinished.unlink(missing_ok=True)
    results = read_json(path)
    sys.stdout.write(format_results({name: results[name] for name in RESULTS}))
    sys.stderr.write(f"report: {report.write_report(workdir)}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.worlds.evaluate`."""
    values = command.new_flags()
    command.define_path("workdir", None, "workdir of a run of world_controller", values)
    flags.DEFINE_integer("episodes", 100, "number of episodes", lower_bound=2, flag_values=values)
    flags.DEFINE_integer("games", 10, "games in parallel, one process each", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("max_steps", 1000, "most steps of an episode", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "seed of the first episode's track", lower_bound=0, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
