"""Evaluates any run again: held-out means, figures, report.

python -m experiments.evaluate --workdir=runs/vae-digits
"""

import dataclasses
import sys

from absl import flags

from experiments import command, report
from experiments.json_files import read_json, write_json
from experiments.restore import restore
from experiments.run import measure, numbers, one_replica, shown, split_evaluator
from gdl_jax.core.errors import UserError
from gdl_jax.core.parallel import make_devices


def _main(values: flags.FlagValues) -> None:
    workdir = command.workdir(values)
    experiment, run, state = restore(workdir, warn=lambda text: sys.stderr.write(text + "\n"))
    config = run.config
    judge = experiment.judge(config, run.data)
    if getattr(run.data, values.split) is None and judge is None:
        raise UserError(f"--split={values.split}: {run.data.name} has no such split")

    def replica_run(replica):
        return dataclasses.replace(run, state=one_replica(state, config.seeds, replica))

    means = split_evaluator(run.learner, run.data, values.split, make_devices("jit"), config)
    results = numbers(means(state) | measure(experiment, judge, replica_run, config.seeds))
    results |= {"samples judged by": judge.protocol} if judge else {}
    results |= experiment.analyse(run)
    path = workdir / "results.json"
    write_json(path, read_json(path) | results)
    page = report.write_report(workdir)
    sys.stdout.write(shown(results))
    sys.stderr.write(f"step {run.step}; report: {page}\n")


def main(argv=None) -> None:
    """What `python -m experiments.evaluate` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", flag_values=values)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "on which examples", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
