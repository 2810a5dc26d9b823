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

The same command again goes on where it was stopped. Whatever comes after `--` goes to the stage: its flags are those of
`experiments.worlds.rollouts`, `world_vae`, `world_encode`, `world_memory`, `world_controller` and `world_evaluate`.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from absl import flags

from experiments.worlds import controller as world_controller
from experiments.worlds import encode as world_encode
from experiments.worlds import evaluate as world_evaluate
from experiments.worlds import mdn_rnn as world_memory
from experiments.worlds import rollouts as world_rollouts
from experiments.worlds import vae as world_vae
from experiments.worlds.agent import load_vision
from gdl_jax.core.errors import UserError
from gdl_jax.data.worlds.latents import LatentData
from gdl_jax.runs import command
from gdl_jax.runs.main import has_ended
from gdl_jax.runs.main import main as run_experiment

CONFIGS = ("small", "book", "paper")
STAGES = ("rollouts", "vae", "encode", "memory", "controller", "evaluate")


def _folder(root: Path, name: str, learner: str, number: int) -> Path:
    """Where a stage of a round keeps what it makes; of later ones, apart for what each `learner` drove."""
    if number == 1:
        return root / name
    return root / (f"{name}_{number}" if name == learner else f"{name}_{learner}_{number}")


def run_stage(stage: str, config: str, root: Path, dream: bool, number: int, more: Sequence[str]) -> bool:
    """Runs one stage of a round, the first being 1, or goes on with it; whether it came to its end."""
    name, learner = ["world_models"], "dream" if dream else "controller"
    vision = root / "vae"  # all rounds see alike
    latents, memory, controller = (_folder(root, made, learner, number) for made in ("latents", "memory", learner))
    rollouts = [_folder(root, "rollouts", learner, earlier) for earlier in range(1, number + 1)]
    if stage == "rollouts":
        driven = []
        if number > 1:
            driver = _folder(root, learner, learner, number - 1)
            if not has_ended(driver):
                raise UserError(f"--rounds={number}: {driver}, who is to drive, is not there or not finished")
            driven = [f"--driver={driver}", f"--seed={number - 1}"]
        world_rollouts.main([*name, f"--config={config}", f"--out={rollouts[-1]}", *driven, *more])
    elif stage == "encode":
        quoted = ['"' + str(folder).replace('"', '""') + '"' for folder in rollouts]  # a path may have a comma
        world_encode.main([*name, f"--vision={vision}", f"--out={latents}", f"--rollouts={','.join(quoted)}", *more])
    elif stage == "evaluate":
        world_evaluate.main([*name, f"--workdir={controller}", *more])
    else:
        preset = f"{config}_dream" if dream and f"{config}_dream" in world_controller.PRESETS else config
        module, preset, workdir, places = {
            "vae": (world_vae, config, vision, [f"--dataset=rollouts:{rollouts[0]}"]),
            "memory": (world_memory, config, memory, [f"--dataset=latents:{latents}"]),
            "controller": (
                world_controller,
                preset,
                controller,
                [f"--vision={vision}", f"--memory={memory}", f"--dream={str(dream).lower()}"],
            ),
        }[stage]
        arguments = [*name, f"--config={preset}", f"--workdir={workdir}", *places, *more]
        experiment = module.EXPERIMENT
        if stage == "memory":
            experiment = experiment._replace(load=partial(_load_codes, vision))
        run_experiment(experiment, module.__doc__, arguments)
        return has_ended(workdir)
    return True


def _load_codes(vision: Path, config: world_memory.Config) -> LatentData:
    """What the memory is to learn from, which must be what the vision makes of frames now.

    Raises:
      UserError: the vision has learnt more since; or as `world_memory.load`.
    """
    data = world_memory.load(config)
    if data.made_by["vision"] != load_vision(str(vision)).digest:
        folder = config.dataset.partition(":")[2]
        raise UserError(f"{folder}: made by an older {vision.name}; delete these, and --stage=encode makes them again")
    return data


def _plan(stage: str, rounds: int) -> list[tuple[int, str]]:
    """Rounds and their stages, in order."""
    if stage != "all":
        return [(rounds, stage)]
    *learning, last = STAGES
    plan = [(number, stage) for number in range(1, rounds + 1) for stage in learning if number == 1 or stage != "vae"]
    return [*plan, (rounds, last)]


def _main(values: flags.FlagValues, more: Sequence[str]) -> None:
    if values.stage == "all" and more:
        raise UserError(f"{more[0]}: which stage is it for? give --stage")
    if values.stage == "vae" and values.rounds > 1:
        raise UserError(f"--rounds={values.rounds}: all rounds see alike; --stage=vae is the first one's")
    if values.dream and values.config == "paper" and values.stage == "all":
        raise UserError(
            "--dream: the paper's memory predicts no rewards; give one --stage after the other, "
            "and --stage=memory -- --reward_head"
        )
    root = Path(values.workdir)
    for number, stage in _plan(values.stage, values.rounds):
        sys.stderr.write(f"== {stage}\n" if values.rounds == 1 else f"== {stage}, round {number}\n")
        if not run_stage(stage, values.config, root, values.dream, number, more):
            return
    if values.stage == "all":
        name = "dream" if values.dream else "controller"
        results = _folder(root, name, name, values.rounds) / "gymnasium.json"
        if results.exists():
            mean = json.loads(results.read_text())["gymnasium"]["mean"]
            sys.stdout.write(f"mean return in gymnasium's CarRacing-v3: {mean:.1f}\n")


def main(argv=None) -> None:
    """What `python -m experiments.world_models` does."""
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
