"""World models (Ha & Schmidhuber 2018; book chapter 8), all stages one after the other.

    python -m experiments.world_models                                  small, to try it
    python -m experiments.world_models --config=book --workdir=runs/world_book
    python -m experiments.world_models --stage=memory                   one stage of it
    python -m experiments.world_models --stage=controller --dream       the controller learns in the memory's dream
    python -m experiments.world_models --stage=evaluate                 in gymnasium's own CarRacing-v3
    python -m experiments.world_models --dream --rounds=2               the second memory has seen the first one drive

A stage keeps what it makes in a folder of --workdir: rollouts, vae, latents, memory, controller (or dream); of round 2
in rollouts_controller_2, latents_controller_2, memory_controller_2 and controller_2 (or rollouts_dream_2 and so on). In
a later round the controller of the one before drives in the rollouts, but for a random share of each episode, and the
memory learns from the rollouts of all rounds (the paper's iterative procedure); --stage is then one of the last round.
With --config=book --dream the dreams are the book's: 1,000 steps at temperature 1, with a reward where one is more
likely than none. Of small worlds, such dreams taught nobody to drive; those of --config=small do.

The same command again goes on where it was stopped. Whatever comes after `--` goes to the stage, whose flags are those
of `python -m experiments.worlds.rollouts`, `.vae`, `.encode`, `.mdn_rnn` (memory), `.controller` and `.evaluate`.
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
from gdl_jax.data.worlds.latents import LatentData
from gdl_jax.runs import command
from gdl_jax.runs.json_files import read_json
from gdl_jax.runs.main import main as run_experiment
from gdl_jax.runs.records import has_ended

PROGRAM = "world_models"
CONFIGS = ("small", "book", "paper", "tiny")
STAGES = ("rollouts", "vae", "encode", "memory", "controller", "evaluate")
EVALUATION = {"tiny": ("--episodes=2", "--games=2", "--max_steps=10")}  # config -> flags where not the defaults


class Folders(NamedTuple):
    """Where the stages of a round keep what they make.

    Attributes:
      rollouts: of this round and of all before it.
      vision: of all rounds, which see alike.
      latents, memory, controller: of this round.
      driver: the controller of the round before; None in the first.
    """

    rollouts: tuple[Path, ...]
    vision: Path
    latents: Path
    memory: Path
    controller: Path
    driver: Path | None


def folders(root: Path, dream: bool, number: int) -> Folders:
    """Returns the folders of round `number`, the first being 1; later ones are apart for controllers that dreamt."""
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
    """Collects rollouts; of later rounds, with the controller of the one before."""
    driven = []
    if at.driver is not None:
        if not has_ended(at.driver):
            raise ConfigError("rounds", number, f"{at.driver}, who is to drive, is not there or not finished")
        driven = [f"--driver={at.driver}", f"--seed={number - 1}"]
    rollouts.main([PROGRAM, f"--config={config}", f"--out={at.rollouts[-1]}", *driven, *more])


def run_stage(stage: str, config: str, root: Path, dream: bool, number: int, more: Sequence[str]) -> bool:
    """Runs one stage of a round, the first being 1, or goes on with it; returns whether it came to its end."""
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
    """Returns what the memory is to learn from, which must be what the vision makes of frames now.

    Raises:
      UserError: the vision has learnt more since; or as `mdn_rnn.load`.
    """
    data = mdn_rnn.load(config)
    if data.made_by["vision"] != load_vision(str(vision)).digest:
        folder = config.dataset.partition(":")[2]
        raise UserError(f"{folder}: made by an older {vision.name}; delete these, and stage encode makes them again")
    return data


def plan(stage: str, rounds: int) -> list[tuple[int, str]]:
    """Returns the rounds and their stages, in order.

    Args:
      stage: one of STAGES, of the last round; or "all".
      rounds: how many.
    """
    if stage != "all":
        return [(rounds, stage)]
    *learning, last = STAGES
    stages = [(number, stage) for number in range(1, rounds + 1) for stage in learning if number == 1 or stage != "vae"]
    return [*stages, (rounds, last)]


def _check(values: flags.FlagValues, more: Sequence[str]) -> None:
    if values.stage == "all" and more:
        raise ConfigError("stage", "all", f"which stage is {more[0]} for?")
    if values.stage == "vae" and values.rounds > 1:
        raise ConfigError("stage", "vae", f"all of {values.rounds} rounds see alike: vision is trained in the first")
    if values.dream and values.config == "paper" and values.stage == "all":
        reason = "the paper's memory predicts no rewards; run one stage after the other, and memory with reward_head"
        raise ConfigError("dream", None, reason)


def _main(values: flags.FlagValues, more: Sequence[str]) -> None:
    _check(values, more)
    root = Path(values.workdir)
    for number, stage in plan(values.stage, values.rounds):
        sys.stderr.write(f"== {stage}\n" if values.rounds == 1 else f"== {stage}, round {number}\n")
        if not run_stage(stage, values.config, root, values.dream, number, more):
            return
    if values.stage == "all":
        results = read_json(folders(root, values.dream, values.rounds).controller / "results.json")
        mean = results["gymnasium/return"]["mean"]
        sys.stdout.write(f"mean return in gymnasium's CarRacing-v3: {mean:.1f}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.world_models`."""
    argv = sys.argv if argv is None else list(argv)
    own, more = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    values = command.new_flags()
    flags.DEFINE_string("workdir", "runs/world", "folder for all that is made", flag_values=values)
    flags.DEFINE_enum("config", "small", CONFIGS, "preset of every stage", flag_values=values)
    flags.DEFINE_enum("stage", "all", ["all", *STAGES], "only this one", flag_values=values)
    flags.DEFINE_bool("dream", False, "the controller learns in the memory's dream", flag_values=values)
    about = "rounds; in all but the first, the controller of the one before drives in the rollouts"
    flags.DEFINE_integer("rounds", 1, about, lower_bound=1, flag_values=values)
    command.run(lambda values: _main(values, more), __doc__, values, own)


if __name__ == "__main__":
    main()
