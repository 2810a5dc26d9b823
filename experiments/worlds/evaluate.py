"""World models, last stage (book chapter 8): the trained agent in gymnasium's own CarRacing-v3.

    python -m experiments.worlds.evaluate --workdir=runs/world/controller

Needs gymnasium[box2d]. Drives 100 episodes, several games at a time in processes of their own, and as many on tracks of
our own game beside them. Frames are gymnasium's, brought to 64x64. Writes WORKDIR/gymnasium.json and the run's report,
and reads the former where the same was measured before, or replaces it. What was stopped goes on by the same command
with the episodes that are missing; those that were played are in WORKDIR/gymnasium_unfinished.json.
"""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.worlds.agent import digest_of_params
from experiments.worlds.controller import mean_controller
from experiments.worlds.driving import control, drive
from gdl_jax.core import config_flags
from gdl_jax.core.errors import UserError
from gdl_jax.core.loop import Stop
from gdl_jax.core.progress import progress_bar
from gdl_jax.envs.car_racing import picture
from gdl_jax.models.agent import act, empty_mind, told
from gdl_jax.runs import command, report
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.main import shown
from gdl_jax.runs.restore import restore


def _summary(returns: np.ndarray) -> dict[str, object]:
    return {"mean": float(returns.mean()), "std": float(returns.std(ddof=1)), "values": returns.tolist()}


def _in_gymnasium(run, controller, values, played: dict[str, list], keep: Callable[[], None]) -> None:
    """Adds to the returns and lengths of what was `played` those of all other episodes; `keep` is called after some."""
    from gdl_jax.envs.gymnasium_driving import play  # needs packages that nothing else here does

    agent, knowledge = run.data.agent, run.data.knowledge
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), min(values.games, values.episodes))

    @jax.jit
    def advance(key, frames, rewards, mind):
        key, noise_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (frames.shape[0], agent.memory.config.z_dim))
        action, _, mind = act(agent, knowledge, choice, frames, noise, told(mind, rewards))
        return action, (key, mind)

    def begin(first, games):
        return jax.random.fold_in(jax.random.key(values.seed), first), empty_mind(agent, games)

    def act_on(frames, rewards, known):
        key, mind = known
        actions, known = advance(key, picture.shrink(frames), jnp.asarray(rewards, jnp.float32), mind)
        return np.asarray(actions, np.float64), known

    before = len(played["returns"])
    done = before * values.max_steps
    with Stop() as stop, progress_bar(initial=done, total=values.episodes * values.max_steps, unit="steps") as bar:

        def progress(steps):
            bar.update(steps)
            command.leave_if_asked(stop)

        asked = {name: values[name].value for name in ("seed", "games", "max_steps")}
        with closing(play(begin, act_on, values.episodes, **asked, first=before, progress=progress)) as rounds:
            for returns, lengths in rounds:
                played["returns"] += returns.tolist()
                played["lengths"] += lengths.tolist()
                keep()
                command.leave_if_asked(stop)


def _protocol(run, controller, values) -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in ("gymnasium", "Box2D", "jax")}
    asked = {name: values[name].value for name in ("episodes", "games", "seed", "max_steps")}
    drives = {"agent": run.data.digest, "controller": digest_of_params(controller), "generations": run.step}
    return {**drives, **asked, "versions": versions}


def _main(values: flags.FlagValues) -> None:
    if values.episodes < 2:
        raise UserError(f"--episodes={values.episodes}: a spread needs at least 2")
    if importlib.util.find_spec("Box2D") is None:
        raise UserError("needs gymnasium with Box2D: pip install 'gymnasium[box2d]'")
    workdir = command.workdir(values)
    run = restore(workdir, warn=command.warn, expected="world_controller").run
    if run.config.frames != "gymnasium":
        raise UserError(f"--workdir={workdir}: drives by --frames={run.config.frames}, which gymnasium does not draw")
    controller = mean_controller(run)
    path, protocol = workdir / "gymnasium.json", _protocol(run, controller, values)
    results = read_json(path)
    if results.get("protocol") != protocol:
        if results:
            changed = "; ".join(config_flags.changed(results.get("protocol", {}), protocol, ignore=()))
            command.warn(f"{path}: what it holds was measured otherwise ({changed}) and will be replaced")
        unfinished = workdir / "gymnasium_unfinished.json"
        results = _measure(run, controller, values, protocol, unfinished) | {"protocol": protocol}
        write_json(path, results)
        unfinished.unlink(missing_ok=True)
    sys.stdout.write(shown({name: value for name, value in results.items() if name != "protocol"}))
    sys.stderr.write(f"report: {report.write_report(workdir)}\n")


def _played(unfinished: Path, protocol: dict[str, Any]) -> dict[str, Any]:
    """What an evaluation by this protocol has left there, or the beginning of a new one."""
    try:
        played = read_json(unfinished)
    except UserError:
        played = {}
    if played.get("protocol") == protocol and len(played["returns"]) == len(played["lengths"]):
        return played
    return {"protocol": protocol, "returns": [], "lengths": []}


def _measure(run, controller, values, protocol: dict[str, Any], unfinished: Path) -> dict[str, Any]:
    """Both games' returns; the episodes of an evaluation that was stopped are those that `unfinished` has."""
    played = _played(unfinished, protocol)
    if len(played["returns"]) < values.episodes:
        _in_gymnasium(run, controller, values, played, lambda: write_json(unfinished, played))

    @jax.jit
    def ours(controller):
        one = jax.tree.map(lambda leaf: leaf[None], controller)
        keys = jax.random.split(jax.random.key(values.seed), values.episodes)
        return drive(run.data.agent, run.data.knowledge, one, keys, run.config.frames, values.max_steps).returns[0]

    sys.stderr.write("on as many tracks of our own game\n")
    return {
        "gymnasium": _summary(np.array(played["returns"])),
        "gdl_jax": _summary(np.asarray(ours(controller))),
        "mean steps in gymnasium": float(np.mean(played["lengths"])),
    }


def main(argv=None) -> None:
    """What `python -m experiments.worlds.evaluate` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "of world_controller", flag_values=values)
    flags.DEFINE_integer("episodes", 100, "how many", flag_values=values)
    flags.DEFINE_integer("games", 10, "at a time, each in a process of its own", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("max_steps", 1000, "where an episode is cut off", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "of the first episode's track", lower_bound=0, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
