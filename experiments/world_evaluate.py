"""World models, last stage (book chapter 8): the trained agent in gymnasium's own CarRacing-v3.

    python -m experiments.world_evaluate --workdir=runs/world/controller

Needs gymnasium[box2d]. Drives 100 episodes, several games at a time in processes of their own, and as many on tracks of
our own game beside them. Frames are gymnasium's, brought to 64x64. Writes WORKDIR/gymnasium.json.
"""

import importlib.util
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tqdm import tqdm

from experiments import command
from experiments.json_files import write_json
from experiments.restore import restore
from experiments.run import shown
from experiments.world_controller import mean_controller
from experiments.world_driving import control, drive
from experiments.world_rollouts import FRAMES, make_worlds
from gdl_jax.core.errors import UserError
from gdl_jax.envs.car_racing import picture
from gdl_jax.models.agent import act, empty_mind, told


def _summary(returns: np.ndarray) -> dict[str, object]:
    return {"mean": float(returns.mean()), "std": float(returns.std(ddof=1)), "values": returns.tolist()}


def _in_gymnasium(run, controller, values) -> tuple[np.ndarray, np.ndarray]:
    from gdl_jax.envs.gymnasium_driving import play  # needs packages that nothing else here does

    agent, knowledge = run.data.agent, run.data.knowledge
    choice = control(agent, jax.tree.map(lambda leaf: leaf[None], controller), min(values.games, values.episodes))

    @jax.jit
    def advance(key, frames, rewards, mind):
        key, noise_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (frames.shape[0], agent.memory.config.z_dim))
        action, _, mind = act(agent, knowledge, choice, frames, noise, told(mind, rewards))
        return action, (key, mind)

    def begin(games):
        return jax.random.key(values.seed), empty_mind(agent, games)

    def act_on(frames, rewards, known):
        key, mind = known
        actions, known = advance(key, picture.shrink(frames), jnp.asarray(rewards, jnp.float32), mind)
        return np.asarray(actions, np.float64), known

    with tqdm(total=values.episodes * 1000, unit=" steps", disable=None) as bar:
        return play(begin, act_on, values.episodes, seed=values.seed, games=values.games, progress=bar.update)


def _main(values: flags.FlagValues) -> None:
    if values.episodes < 2:
        raise UserError(f"--episodes={values.episodes}: a spread needs at least 2")
    if importlib.util.find_spec("Box2D") is None:
        raise UserError("needs gymnasium with Box2D: pip install 'gymnasium[box2d]'")
    workdir = command.workdir(values)
    experiment, run, _ = restore(Path(workdir), warn=lambda text: sys.stderr.write(text + "\n"))
    if experiment.name != "world_controller":
        raise UserError(f"--workdir={workdir}: holds a run of {experiment.name}, not of world_controller")
    if run.config.frames != "gymnasium":
        raise UserError(f"--workdir={workdir}: drives by --frames={run.config.frames}, which gymnasium does not draw")
    controller = mean_controller(run)
    returns, lengths = _in_gymnasium(run, controller, values)
    key = jax.random.key(values.seed)

    @jax.jit
    def ours(controller):
        worlds = make_worlds(jax.random.split(key, values.episodes), FRAMES[run.config.frames][0].playfield)
        one = jax.tree.map(lambda leaf: leaf[None], controller)
        return drive(run.data.agent, run.data.knowledge, one, key[None], worlds, run.config.frames, 1000).returns[0]

    results = {
        "gymnasium": _summary(returns),
        "gdl_jax": _summary(np.asarray(ours(controller))),
        "mean steps in gymnasium": float(lengths.mean()),
    }
    write_json(workdir / "gymnasium.json", results)
    sys.stdout.write(shown(results))


def main(argv=None) -> None:
    """What `python -m experiments.world_evaluate` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "of world_controller", flag_values=values)
    flags.DEFINE_integer("episodes", 100, "how many", flag_values=values)
    flags.DEFINE_integer("games", 10, "at a time, each in a process of its own", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 0, "of the first episode's track", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
