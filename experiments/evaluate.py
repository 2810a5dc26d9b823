"""Evaluates any run again: held-out means, figures, report.

python -m experiments.evaluate --workdir=runs/vae-digits
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags

from experiments import command, report
from experiments.restore import restore
from experiments.run import EVALUATION_BATCH, write_json
from gdl_jax.core.errors import UserError
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import make_evaluate


def _main(values: flags.FlagValues) -> None:
    workdir = Path(values.workdir)
    experiment, run = restore(workdir, warn=lambda text: sys.stderr.write(text + "\n"))
    rows = getattr(run.data, values.split)
    if rows is None:
        raise UserError(f"--split={values.split}: {run.data.name} has no such split")
    evaluate = make_evaluate(run.learner, run.data, rows, EVALUATION_BATCH, make_devices("jit"), run.config.seed)
    numbers = {f"{values.split}/{name}": float(np.mean(value)) for name, value in evaluate(run.state).items()}
    numbers |= experiment.analyse(run)
    path = workdir / "results.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, before | numbers)
    page = report.write_report(workdir)
    for name, number in numbers.items():
        sys.stdout.write(f"{name}: {number:.6g}\n")
    sys.stderr.write(f"step {run.step}; report: {page}\n")


def main(argv=None) -> None:
    """What `python -m experiments.evaluate` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", required=True, flag_values=values)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "on which examples", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
