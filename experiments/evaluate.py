"""Evaluates any run again: held-out means, sample metrics, figures, report.

python -m experiments.evaluate --workdir=runs/vae-digits
python -m experiments.evaluate --workdir=runs/gan-digits --features=vgg16      another feature extractor

Hyperparameters that training does not depend on are flags here, too: `--workdir=... --help` lists those of a run.
"""

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import EvaluationOnly
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.parallel import make_devices
from gdl_jax.runs import command, records, report
from gdl_jax.runs.measure import (
    HELD_OUT,
    format_results,
    measure_samples,
    split_evaluator,
    state_of_seed,
    to_results,
)
from gdl_jax.runs.restore import restore


def _main(values: flags.FlagValues, found: command.NamedRun | None) -> None:
    workdir = command.workdir(values)
    moved = command.moved(found, values)
    experiment, run, state = restore(workdir, warn=command.warn, read_data=True, moved=moved)
    records.check_writable(workdir)
    if values.split and values.split not in experiment.splits:
        reason = f"{experiment.name} is evaluated on {', '.join(experiment.splits)} only"
        raise ConfigError("split", values.split, reason)
    splits = [values.split] if values.split else HELD_OUT
    if getattr(run.data, splits[-1]) is None:
        if values.split:
            raise ConfigError("split", values.split, f"{run.data.name} has no such split in this run")
        sys.stderr.write(f"{run.data.name} has no test split in this run; no test means\n")
    chosen = config_flags.chosen(experiment.config, values)
    config = dataclasses.replace(run.config, **chosen)
    config_flags.check_effects(config, run.config)
    changed = {name: value for name, value in chosen.items() if value != getattr(run.config, name)}
    run.figures.mkdir(exist_ok=True)
    run = dataclasses.replace(run, config=config, learner=experiment.build(config, run.data, None))
    sys.stderr.write(f"{experiment.name}, step {run.step}: held-out splits, samples, figures\n")
    evaluator = experiment.evaluator(config, run.data)

    def run_of_seed(index):
        return dataclasses.replace(run, state=state_of_seed(state, config.seeds, index))

    rest = make_devices("jit"), config, experiment.evaluation_batch
    means = split_evaluator(run.learner, run.data, splits, *rest)
    samples = measure_samples(experiment.sample_metrics, evaluator, run_of_seed, config.seeds)
    results = records.merged(to_results(means(state) | samples), records.of_samples(evaluator))
    results = records.merged(results, experiment.analyse(run))
    if changed:
        results = records.merged(results, {"protocol": {records.EVALUATION: changed}})
    records.add_results(workdir, results, replaced=records.kinds_of_samples(evaluator))
    page = report.write_report(workdir)
    sys.stdout.write(format_results(results))
    sys.stderr.write(f"report: {page}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.evaluate`."""
    argv = sys.argv if argv is None else argv
    values = command.new_flags()
    command.define_path("workdir", None, "the run's directory", values)
    splits = ["train", "validation", "test"]
    about = "split to evaluate on [validation and test, if there are any]"
    flags.DEFINE_enum("split", None, splits, about, flag_values=values)
    if found := command.experiment_of_workdir(argv):
        command.define_moved(found, values)
        rules = config_flags.rules(found.experiment.config)
        names = [name for name, each in rules.items() if any(isinstance(rule, EvaluationOnly) for rule in each)]
        config_flags.define(found.config, values, only=names)
    command.run(lambda values: _main(values, found), __doc__, values, argv)


if __name__ == "__main__":
    main()
