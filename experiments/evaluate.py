"""Evaluates any run again: held-out means, figures, report.

python -m experiments.evaluate --workdir=runs/vae-digits
python -m experiments.evaluate --workdir=runs/gan-digits --features=vgg16      samples judged with another network
"""

import dataclasses
import sys

from absl import flags

from gdl_jax.core.errors import UserError
from gdl_jax.core.parallel import make_devices
from gdl_jax.runs import command, report
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.main import HELD_OUT, judged_by, measure, numbers, one_replica, shown, split_evaluator
from gdl_jax.runs.restore import restore


def _main(values: flags.FlagValues) -> None:
    workdir = command.workdir(values)
    experiment, run, state = restore(workdir, warn=command.warn)
    if values.split and values.split not in experiment.splits:
        raise UserError(
            f"--split={values.split}: {experiment.name} is evaluated on {', '.join(experiment.splits)} only"
        )
    config = run.config
    splits = [values.split] if values.split else HELD_OUT
    if getattr(run.data, splits[-1]) is None:
        if values.split:
            raise UserError(f"--split={values.split}: {run.data.name} has no such split in this run")
        sys.stderr.write(f"{run.data.name} has no test split in this run: no means over it\n")
    if values.features is not None:
        if not hasattr(config, "features"):
            raise UserError(f"--features={values.features}: samples of {experiment.name} are not judged")
        config = dataclasses.replace(config, features=values.features)
    sys.stderr.write(f"{experiment.name}, step {run.step}: held-out splits, samples, figures\n")
    judge = experiment.judge(config, run.data)

    def replica_run(replica):
        return dataclasses.replace(run, state=one_replica(state, config.seeds, replica))

    means = split_evaluator(run.learner, run.data, splits, make_devices("jit"), config)
    results = numbers(means(state) | measure(experiment, judge, replica_run, config.seeds))
    results |= judged_by(judge)
    results |= experiment.analyse(run)
    path = workdir / "results.json"
    write_json(path, read_json(path) | results)
    page = report.write_report(workdir)
    sys.stdout.write(shown(results))
    sys.stderr.write(f"report: {page}\n")


def main(argv=None) -> None:
    """What `python -m experiments.evaluate` does."""
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", flag_values=values)
    splits = ["train", "validation", "test"]
    flags.DEFINE_enum(
        "split", None, splits, "on which examples [validation and test, if there are any]", flag_values=values
    )
    about = "judge of samples instead of the run's own: vgg16, inception:PATH, or a `classifier` run's workdir"
    flags.DEFINE_string("features", None, about, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
