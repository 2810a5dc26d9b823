"""World models (book chapter 8; Ha & Schmidhuber 2018): an agent of CarRacing, trained in the game or in dreams.

    python -m experiments.world_models --dream --rounds=2         trained in dreams only, two rounds; 60 minutes
    python -m experiments.world_models                            trained in the game; 40 minutes
    python -m experiments.world_models --config=book --workdir=runs/world_book
    python -m experiments.world_models --stage=memory             a single stage
    python -m experiments.world_models --stage=controller --dream
    python -m experiments.world_models --stage=evaluate           in gymnasium's CarRacing-v3

Minutes are those of two CPU cores. Runs all stages: rollouts, vae (the vision), encode, memory (the MDN-RNN),
controller, evaluate. Each writes to a folder of --workdir: rollouts, vae, latents, memory, and controller or, with
--dream, dream. Round 2 writes to rollouts_controller_2, latents_controller_2, memory_controller_2 and controller_2, or
to rollouts_dream_2 and so on. In a later round, the controller of the round before drives in the rollouts, except for a
random share of each episode, and the memory is trained on the rollouts of all rounds (the paper's iterative procedure);
--stage is then a stage of the last round. With --config=book --dream the dreams are the book's: 1,000 steps at
temperature 1, a reward of 1 where its predicted probability is above 0.5. With the small preset's rollouts such dreams
yield no driving controller; use the dreams of --config=small.

Rerun the same command to resume. Flags after `--` go to the stage: those of `python -m experiments.worlds.rollouts`,
`.vae`, `.encode`, `.mdn_rnn` (memory), `.controller` and `.evaluate`.
"""

import dataclasses
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments.worlds import controller, encode, evaluate, mdn_rnn, rollouts, vae
from experiments.worlds.agent import load_vision
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.extras import locate
from gdl_jax.data.worlds.latents import LatentData
from gdl_jax.runs import command
from gdl_jax.runs.main import main as run_experiment
from gdl_jax.runs.records import has_ended, read_results

PROGRAM = "world_models"
CONFIGS = ("small", "book", "paper", "tiny")
STAGES = ("rollouts", "vae", "encode", "memory", "controller", "evaluate")
NEEDS = {"controller": "evosax", "evaluate": "Box2D"}  # stage -> package of the extra "worlds"
EVALUATION = {"tiny": ("--episodes=2", "--games=2", "--max_steps=10")}  # config -> flags, if not the defaults


class Folders(NamedTuple):
    """Folders of the stages of a round.

    Attributes:
      rollouts: of this round and of all before it.
      vision: the same for all rounds.
      latents, memory, controller: of this round.
      driver: controller of the previous round; None in the first round.
    """

    rollouts: tuple[Path, ...]
    vision: Path
    latents: Path
    memory: Path
    controller: Path
    driver: Path | None


def folders(root: Path, dream: bool, number: int) -> Folders:
    """Returns the folders of round `number`, counted from 1; from round 2 on, other ones with `dream` than without."""
    learner = "dream" if dream else "controller"

    def folder(name, number):
        if number == 1:
            return root / name
        return root / (f"{name}_{number}" if name == learner else f"{name}_{learner}_{number}")

    return Folders(
        tuple(folder("rollouts", earlier) for earlier in range(1, number + 1)),
        root / "vae",
        *(folder(name, number) for name in ("latents", "memory", learner)),
        folder(learner, number - 1) if number > 1 else None,
    )


def _collect(config: str, at: Folders, number: int, more: Sequence[str]) -> None:
    """Collects the rollouts of a round; from round 2 on, driven by the controller of the previous round."""
    driven = []
    if at.driver is not None:
        if not has_ended(at.driver):
            raise ConfigError("rounds", number, f"needs the finished controller {at.driver} as driver")
        driven = [f"--driver={at.driver}", f"--seed={number - 1}"]
    rollouts.main([PROGRAM, f"--config={config}", f"--out={at.rollouts[-1]}", *driven, *more])


def run_stage(stage: str, config: str, root: Path, dream: bool, number: int, more: Sequence[str]) -> bool:
    """Runs or resumes a stage of round `number`, counted from 1; returns true if it finished."""
    at = folders(root, dream, number)
    if stage == "rollouts":
        _collect(config, at, number, more)
        return True
    if stage == "encode":
        quoted = ['"' + str(folder).replace('"', '""') + '"' for folder in at.rollouts]  # a path may have a comma
        places = [f"--vision={at.vision}", f"--out={at.latents}", f"--rollouts={','.join(quoted)}"]
        encode.main([PROGRAM, *places, *more])
        return True
    if stage == "evaluate":
        evaluate.main([PROGRAM, f"--workdir={at.controller}", *EVALUATION.get(config, ()), *more])
        return True
    preset = config
    if stage == "vae":
        module, workdir, places = vae, at.vision, [f"--dataset=rollouts:{at.rollouts[0]}"]
        experiment = vae.EXPERIMENT
    elif stage == "memory":
        module, workdir, places = mdn_rnn, at.memory, [f"--dataset=latents:{at.latents}"]
        experiment = dataclasses.replace(mdn_rnn.EXPERIMENT, load=partial(_load_codes, at.vision))
    else:
        module, workdir, experiment = controller, at.controller, controller.EXPERIMENT
        places = [f"--vision={at.vision}", f"--memory={at.memory}", f"--dream={str(dream).lower()}"]
        if dream and f"{config}_dream" in controller.PRESETS:
            preset = f"{config}_dream"
    run_experiment(experiment, module.__doc__, [PROGRAM, f"--config={preset}", f"--workdir={workdir}", *places, *more])
    return has_ended(workdir)


def _load_codes(vision: Path, config: mdn_rnn.Config) -> LatentData:
    """Returns the memory's training data, which must be codes of the current vision.

    Raises:
      UserError: the vision was trained further since; or as `mdn_rnn.load`.
    """
    data = mdn_rnn.load(config)
    if data.made_by["vision"] != load_vision(str(vision)).digest:
        folder = config.dataset.partition(":")[2]
        raise UserError(f"{folder}: encoded by an older {vision.name}; delete the folder and rerun stage encode")
    return data


def plan(stage: str, rounds: int) -> list[tuple[int, str]]:
    """Returns pairs of round and stage, in order.

    Args:
      stage: one of STAGES, to run it in the last round; or "all".
      rounds: number of rounds.
    """
    if stage != "all":
        return [(rounds, stage)]
    *training, last = STAGES
    stages = [(number, stage) for number in range(1, rounds + 1) for stage in training if number == 1 or stage != "vae"]
    return [*stages, (rounds, last)]


def _check(values: flags.FlagValues, more: Sequence[str]) -> None:
    if values.stage == "all" and more:
        raise ConfigError("stage", "all", f"name the stage that gets {more[0]}")
    if values.stage == "vae" and values.rounds > 1:
        raise ConfigError("stage", "vae", f"vision is trained in round 1 only; give it without rounds={values.rounds}")
    if values.dream and values.config == "paper" and values.stage == "all":
        reason = "the paper's memory predicts no rewards; run stage by stage, and stage memory with reward_head"
        raise ConfigError("dream", None, reason)


def _main(values: flags.FlagValues, more: Sequence[str]) -> None:
    _check(values, more)
    root = Path(values.workdir)
    stages = plan(values.stage, values.rounds)
    for _, stage in stages:
        if stage in NEEDS:
            locate(NEEDS[stage], "worlds")  # now, not after an hour of other stages
    for number, stage in stages:
        sys.stderr.write(f"== {stage}\n" if values.rounds == 1 else f"== {stage}, round {number}\n")
        if not run_stage(stage, values.config, root, values.dream, number, more):
            return
    if values.stage == "all":
        results = read_results(folders(root, values.dream, values.rounds).controller)
        mean = results["gymnasium/return"]["mean"]
        sys.stdout.write(f"mean return in gymnasium's CarRacing-v3: {mean:.1f}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.world_models`."""
    argv = sys.argv if argv is None else list(argv)
    own, more = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    values = command.new_flags()
    command.define_path("workdir", "runs/world", "folder of all stages", values)
    flags.DEFINE_enum("config", "small", CONFIGS, "preset of every stage", flag_values=values)
    flags.DEFINE_enum("stage", "all", ["all", *STAGES], "stage to run", flag_values=values)
    flags.DEFINE_bool("dream", False, "train the controller in the memory's dream", flag_values=values)
    about = "rounds of training; from the second on, the previous controller drives in the rollouts"
    flags.DEFINE_integer("rounds", 1, about, lower_bound=1, flag_values=values)
    command.run(lambda values: _main(values, more), __doc__, values, own)


if __name__ == "__main__":
    main()
