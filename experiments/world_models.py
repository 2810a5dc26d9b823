"""World models (Ha & Schmidhuber 2018; book chapter 8), all stages one after the other.

    python -m experiments.world_models                                  small, to try it
    python -m experiments.world_models --config=book --workdir=runs/world_book
    python -m experiments.world_models --stage=memory                   one stage of it
    python -m experiments.world_models --stage=controller --dream       the controller learns in the memory's dream
    python -m experiments.world_models --stage=evaluate                 in gymnasium's own CarRacing-v3
    python -m experiments.world_models --workdir=runs/world_2 --driver=runs/world/controller        a second round

A second round is the paper's iterative procedure: what the first round's controller sees and does, with some random
actions, is what vision and memory learn from.

A stage keeps what it makes in a folder of --workdir: rollouts, vae, latents, memory, controller (or dream). The same
command again goes on where it was stopped. Whatever comes after `--` goes to the stage: its flags are those of
`experiments.world_rollouts`, `world_vae`, `world_encode`, `world_memory`, `world_controller` and `world_evaluate`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments import command, world_controller, world_encode, world_evaluate, world_memory, world_rollouts, world_vae
from experiments.run import main as run_experiment
from gdl_jax.core.errors import UserError

CONFIGS = ("small", "book", "paper")
STAGES = ("rollouts", "vae", "encode", "memory", "controller", "evaluate")


def _finished(workdir: Path) -> bool:
    return (workdir / "results.json").exists()


def run_stage(stage: str, config: str, root: Path, dream: bool, driver: str, more: Sequence[str]) -> bool:
    """Runs one stage, or goes on with it; whether it came to its end."""
    folder = {name: root / name for name in ("rollouts", "vae", "latents", "memory")}
    controller = root / ("dream" if dream else "controller")
    name = ["world_models"]
    if stage == "rollouts":
        world_rollouts.main([*name, f"--config={config}", f"--out={folder['rollouts']}", f"--driver={driver}", *more])
    elif stage == "encode":
        places = (f"--rollouts={folder['rollouts']}", f"--vision={folder['vae']}", f"--out={folder['latents']}")
        world_encode.main([*name, *places, *more])
    elif stage == "evaluate":
        world_evaluate.main([*name, f"--workdir={controller}", *more])
    else:
        module, workdir, places = {
            "vae": (world_vae, folder["vae"], [f"--dataset=rollouts:{folder['rollouts']}"]),
            "memory": (world_memory, folder["memory"], [f"--dataset=latents:{folder['latents']}"]),
            "controller": (
                world_controller,
                controller,
                [f"--vision={folder['vae']}", f"--memory={folder['memory']}", f"--dream={str(dream).lower()}"],
            ),
        }[stage]
        arguments = [*name, f"--config={config}", f"--workdir={workdir}", *places, *more]
        run_experiment(module.EXPERIMENT, module.__doc__, arguments)
        return _finished(workdir)
    return True


def _main(values: flags.FlagValues, more: Sequence[str]) -> None:
    if values.stage == "all" and more:
        raise UserError(f"{more[0]}: which stage is it for? give --stage")
    if values.driver and values.stage not in ("all", "rollouts"):
        raise UserError(f"--driver={values.driver}: has no effect on --stage={values.stage}")
    if values.dream and values.config == "paper" and values.stage == "all":
        raise UserError(
            "--dream: the paper's memory predicts no rewards; give one --stage after the other, "
            "and --stage=memory -- --reward_head"
        )
    root = Path(values.workdir)
    for stage in STAGES if values.stage == "all" else (values.stage,):
        sys.stderr.write(f"== {stage}\n")
        if not run_stage(stage, values.config, root, values.dream, values.driver, more):
            return
    results = root / ("dream" if values.dream else "controller") / "gymnasium.json"
    if values.stage == "all" and results.exists():
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
    flags.DEFINE_string("driver", "", "controller that drives in the rollouts: its workdir", flag_values=values)
    command.run(lambda values: _main(values, more), __doc__, values, own)


if __name__ == "__main__":
    main()
