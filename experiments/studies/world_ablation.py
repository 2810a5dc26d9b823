"""What the parts of a world model are worth, and what a dream's temperature does, with error bars (book chapter 8).

    python -m experiments.studies.world_ablation --world=runs/world            z; z and h; an untrained memory
    python -m experiments.studies.world_ablation --world=runs/world --study=temperature   dreams from 0.5 to 1.5
    python -m experiments.studies.world_ablation --flagfile=launch/flags/world_ablation_inputs.txt    the paper's budget

--world is the folder of `experiments.world_models`, whose vision and memory all runs share. Each variant trains
`--seeds` controllers from random numbers of their own, for the same number of generations; each is then driven on
`--evaluation_episodes` tracks of our game. Writes WORKDIR/table.md and ablation.png; a run that was stopped goes on
where it was.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from experiments.worlds.controller import EXPERIMENT
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.plots.curves import compared_curves
from gdl_jax.runs import command
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.study import cell, finished
from gdl_jax.runs.tables import as_table

PROGRAM = "world_ablation"
EVALUATIONS = 5  # in each training
TEMPERATURES = (0.5, 0.75, 1.0, 1.15, 1.3, 1.5)
RETURN, REWARDED, DREAM_RETURN = "test/return", "test/rewarded", "test/dream_return"
COLUMNS = {
    RETURN: "return in the game",
    "test/tiles": "tiles visited",
    REWARDED: "rewarded steps in the game",
    DREAM_RETURN: "in the dream",
}
SCORE = "test/rewarded_steps"
BUDGET = ("population", "episodes", "max_steps", "dream_steps", "evaluation_episodes")  # flags


class Variant(NamedTuple):
    """A row of the table: the controller's experiment, changed by flags."""

    name: str
    label: str
    flags: tuple[str, ...]


STUDIES = {
    "inputs": (
        Variant("z", "z alone", ("--controller_inputs=z",)),
        Variant("z_h", "z and h", ("--controller_inputs=z_h",)),
        Variant("untrained", "z and h of an untrained memory", ("--controller_inputs=z_h", "--untrained_memory")),
    ),
    "temperature": tuple(
        Variant(f"temperature_{value}", f"{value}", ("--dream", f"--temperature={value}")) for value in TEMPERATURES
    ),
}


def _train(variant: Variant, values: flags.FlagValues) -> Path | None:
    world = Path(values.world)
    every = -(-values.generations // EVALUATIONS)
    return finished(
        PROGRAM,
        EXPERIMENT,
        Path(values.workdir) / values.study / variant.name,
        values.generations,
        f"--vision={world / 'vae'}",
        f"--memory={world / values.memory}",
        *variant.flags,
        f"--seeds={values.seeds}",
        f"--batch_size={values.population}",
        *(f"--{name}={values[name].value}" for name in BUDGET[1:]),
        "--strategy=cma_es_two_point",  # by itself, CMA-ES adapts fewer parameters in another way
        f"--eval_every={every}",
    )


def table(heading: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a line for each variant, mean and standard deviation over its replicas."""
    columns = [name for name in COLUMNS if all(name in each for each in measured.values())]
    rows = [
        [label, *(cell(each[name]) for name in columns), f"{each['training_minutes']:.1f}"]
        for label, each in measured.items()
    ]
    return as_table([heading, *(COLUMNS[name] for name in columns), "minutes"], rows)


def scores_over_temperature(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, float]]]:
    """Rows for `compared_curves`: steps with a reward, of the same controllers in the game and in their dream."""

    def rows(metric):
        scores = {float(label): each[metric] for label, each in measured.items()}
        return [{"step": value, SCORE: score["mean"], f"{SCORE}_std": score["std"]} for value, score in scores.items()]

    return {"in the game": rows(REWARDED), "in the dream": rows(DREAM_RETURN)}


def _main(values: flags.FlagValues) -> None:
    if values.seeds < 2:
        raise UserError(f"--seeds={values.seeds}: a spread needs at least 2")
    for folder in (Path(values.world) / part for part in ("vae", values.memory)):
        if not folder.is_dir():
            raise UserError(f"--world={values.world}: {folder} is not there; `experiments.world_models` makes it")
    workdir = Path(values.workdir) / values.study
    measured, logs = {}, {}
    for variant in STUDIES[values.study]:
        run = _train(variant, values)
        if run is None:
            return
        results = read_json(run / "results.json")
        measured[variant.label] = {name: results[name] for name in (*COLUMNS, "training_minutes") if name in results}
        logs[variant.label] = [row for row in read_rows(run / "metrics.jsonl") if RETURN in row]
    text = table(values.study, measured)
    write_json(workdir / "results.json", measured)
    picture = workdir / "ablation.png"
    if values.study == "temperature":
        compared_curves(scores_over_temperature(measured), [SCORE], "temperature of the dream", picture)
    else:
        compared_curves(logs, [RETURN], "generation", picture)
    spent = [name for name in BUDGET if name != "dream_steps" or values.study == "temperature"]  # only that one dreams
    budget = ", ".join(f"{name} {values[name].value:,}" for name in ("generations", *spent))
    scope = f"{values.seeds} searches; vision and memory, an untrained one too, are the same in all of them"
    text = f"{text}\nmean ± standard deviation of {scope}; {budget.replace('_', ' ')}\n"
    (workdir / "table.md").write_text(text)
    sys.stdout.write(text)
    sys.stderr.write(f"{workdir / 'table.md'}, {picture}\n")


def main(argv=None) -> None:
    """What `python -m experiments.studies.world_ablation` does."""
    values = command.new_flags()
    flags.DEFINE_string("world", "runs/world", "folder of `experiments.world_models`", flag_values=values)
    flags.DEFINE_string("memory", "memory", "folder of it whose memory is used", flag_values=values)
    flags.DEFINE_enum("study", "inputs", list(STUDIES), "what is compared", flag_values=values)
    flags.DEFINE_string("workdir", "runs/world_ablation", "where the runs are kept", flag_values=values)
    flags.DEFINE_integer("seeds", 3, "controllers of each variant", flag_values=values)
    flags.DEFINE_integer("generations", 30, "of each training", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("population", 32, "individuals of a generation", lower_bound=2, flag_values=values)
    flags.DEFINE_integer("episodes", 4, "tracks, or dreams, of a generation", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("max_steps", 1000, "of an episode", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("dream_steps", 500, "of a dream", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("evaluation_episodes", 100, "tracks of an evaluation", lower_bound=1, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
