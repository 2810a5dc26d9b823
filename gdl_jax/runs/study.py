"""Runs that are compared: each is trained to its end, or gone on with, before their numbers stand in one table."""

import sys
from collections.abc import Mapping
from pathlib import Path

from gdl_jax.runs.experiment import Experiment
from gdl_jax.runs.main import has_ended
from gdl_jax.runs.main import main as run_experiment


def finished(program: str, experiment: Experiment, workdir: Path, steps: int, *arguments: str) -> Path | None:
    """The workdir of a run that is now at `steps`, its end; None if it was stopped."""
    sys.stderr.write(f"== {workdir.name}\n")
    run_experiment(experiment, program, [program, f"--workdir={workdir}", f"--steps={steps}", *arguments])
    return workdir if has_ended(workdir) else None


def cell(value: Mapping[str, float]) -> str:
    """Mean and standard deviation over replicas, as the table shows them."""
    return f"{value['mean']:.3g} ± {value['std']:.2g}"
