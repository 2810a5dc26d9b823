"""Compares controller inputs, or dream temperatures, of world models with error bars (book chapter 8).

    python -m experiments.studies.world_ablation --world=runs/world            z; z and h; an untrained memory
    python -m experiments.studies.world_ablation --world=runs/world --study=temperature   dreams from 0.5 to 1.5
    python -m experiments.studies.world_ablation --flagfile=launch/flags/world_ablation_inputs.txt    the paper's budget

--world is the folder of a run of `experiments.world_models`; all variants share its vision and memory. Each variant
trains `--seeds` controllers for the same number of generations and evaluates them on `--evaluation_episodes` tracks of
our game.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from experiments.worlds.controller import EXPERIMENT
from gdl_jax.core.config_flags import AtLeast, IsPath
from gdl_jax.core.errors import ConfigError
from gdl_jax.plots.curves import compared_curves
from gdl_jax.runs import study
from gdl_jax.runs.study import Study, StudyOptions, TrainedVariant, Variant

EVALUATIONS = 5  # per training
RETURN, REWARDED, DREAM_RETURN = "test/return", "test/rewarded", "test/dream_return"
COLUMNS = {
    RETURN: "return in the game",
    "test/tiles": "tiles visited",
    REWARDED: "rewarded steps in the game",
    DREAM_RETURN: "in the dream",
}
SCORE = "test/rewarded_steps"
BUDGET = ("generations", "population", "episodes", "max_steps", "evaluation_episodes")  # options
INPUTS = (
    Variant("z", "z alone", EXPERIMENT, ("--controller_inputs=z",)),
    Variant("z_h", "z and h", EXPERIMENT, ("--controller_inputs=z_h",)),
    Variant(
        "untrained",
        "z and h of an untrained memory",
        EXPERIMENT,
        ("--controller_inputs=z_h", "--untrained_memory"),
    ),
)
TEMPERATURES = tuple(
    Variant(f"temperature_{value}", f"{value}", EXPERIMENT, ("--dream", f"--temperature={value}"))
    for value in (0.5, 0.75, 1.0, 1.15, 1.3, 1.5)
)


@dataclass(frozen=True, kw_only=True)
class Options(StudyOptions):
    workdir: Annotated[str, IsPath()] = "runs/world_ablation"
    world: Annotated[str, IsPath()] = "runs/world"  # folder of a run of `experiments.world_models`
    memory: str = "memory"  # its subfolder with the memory to use
    generations: Annotated[int, AtLeast(1)] = 30  # generations per training
    population: Annotated[int, AtLeast(2)] = 32  # individuals per generation
    episodes: Annotated[int, AtLeast(1)] = 4  # tracks, or dreams, per generation
    max_steps: Annotated[int, AtLeast(1)] = 1000  # most steps of an episode
    dream_steps: Annotated[int, AtLeast(1)] = 500  # steps of a dream
    evaluation_episodes: Annotated[int, AtLeast(1)] = 100  # tracks of an evaluation


def flags(options: Options, variant: Variant) -> Sequence[str]:
    """Returns the flags of all variants: the parts of the world, and the budget.

    Raises:
      ConfigError: the folder lacks its vision or its memory.
    """
    vision, memory = (Path(options.world) / part for part in ("vae", options.memory))
    for folder in (vision, memory):
        if not folder.is_dir():
            raise ConfigError("world", options.world, f"{folder} is missing; run `experiments.world_models` first")
    return (
        f"--steps={options.generations}",
        f"--vision={vision}",
        f"--memory={memory}",
        f"--seeds={options.seeds}",
        f"--batch_size={options.population}",
        f"--episodes={options.episodes}",
        f"--max_steps={options.max_steps}",
        f"--dream_steps={options.dream_steps}",
        f"--evaluation_episodes={options.evaluation_episodes}",
        "--strategy=cma_es_two_point",  # cma_es would adapt step sizes differently for z, with its fewer parameters
        f"--eval_every={-(-options.generations // EVALUATIONS)}",
    )


def budget(*more: str) -> Callable[[Options], str]:
    """Returns a function that describes the common options of all variants: those of BUDGET, and `more`."""

    def text(options):
        common = ", ".join(f"{name} {getattr(options, name):,}" for name in (*BUDGET, *more)).replace("_", " ")
        return f"vision and memory, also an untrained one, are the same for all seeds; {common}"

    return text


def draw_temperatures(trained: Sequence[TrainedVariant], path: Path) -> None:
    """Plots rewarded steps over temperature, for the same controllers in the game and in their dream."""

    def rows(metric):
        scores = {float(each.variant.label): each.results[metric] for each in trained}
        return [{"step": value, SCORE: score["mean"], f"{SCORE}_std": score["std"]} for value, score in scores.items()]

    scores = {"in the game": rows(REWARDED), "in the dream": rows(DREAM_RETURN)}
    compared_curves(scores, [SCORE], "temperature of the dream", path)


OF_INPUTS = Study(
    options=Options(),
    variants=lambda options: INPUTS,
    flags=flags,
    heading="inputs",
    columns=COLUMNS,
    curves=(RETURN,),
    x_label="generation",
    note=budget(),
)
STUDIES = {
    "inputs": OF_INPUTS,
    "temperature": dataclasses.replace(
        OF_INPUTS,
        variants=lambda options: TEMPERATURES,
        heading="temperature",
        picture=draw_temperatures,
        note=budget("dream_steps"),
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.studies.world_ablation`."""
    study.main(STUDIES, __doc__, argv)


if __name__ == "__main__":
    main()
