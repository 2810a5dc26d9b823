"""From a command line to a finished run: flags, config, data, learner, loop, figures, report."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from gdl_jax.core import config_flags, loop
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner, State
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.parallel import Devices, make_devices, to_host
from gdl_jax.core.programs import make_keys
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs import command, records, report
from gdl_jax.runs.experiment import Experiment, Run, SampleEvaluator
from gdl_jax.runs.json_files import write_json
from gdl_jax.runs.measure import (
    HELD_OUT,
    format_results,
    measure_samples,
    split_evaluator,
    state_of_seed,
    to_results,
    training_minutes,
)
from gdl_jax.runs.summary import count_parameters, dry_run


def _define(experiment: Experiment, argv: Sequence[str]) -> flags.FlagValues:
    values = command.new_flags()
    names = list(experiment.presets)
    flags.DEFINE_string("workdir", None, f"where the run is kept [runs/{experiment.name}-CONFIG]", flag_values=values)
    flags.DEFINE_enum("config", names[0], names, "preset that the other flags change", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "show shapes, parameters, FLOPs and memory; train nothing", flag_values=values)
    flags.DEFINE_bool("profile", False, "trace one compiled call into WORKDIR/profile", flag_values=values)
    flags.DEFINE_bool("distributed", False, "join the processes that SLURM or a TPU pod started", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, to join processes by hand", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "with --coordinator: how many", flag_values=values)
    flags.DEFINE_integer("process_id", None, "with --coordinator: which one this is", flag_values=values)
    asked = command.given(argv, "config")
    config_flags.define(experiment.presets[asked if asked in names else names[0]], values)
    return values


def _join_processes(values: flags.FlagValues) -> None:
    if values.coordinator is not None:
        if values.num_processes is None or values.process_id is None:
            raise ConfigError("coordinator", values.coordinator, "needs num_processes and process_id")
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(values.coordinator, values.num_processes, values.process_id)
    elif values.distributed:
        jax.distributed.initialize()


@dataclass(frozen=True)
class Prepared:
    """Everything that a training needs.

    Attributes:
      experiment, preset, config, argv: what was asked for.
      workdir: of the run; exists.
      data: the data set, checked.
      devices: all of them.
      learner: for all devices; `local_learner` for one, on which samples are drawn.
      evaluator: what measures samples, or None.
      before: flags.json of the run that goes on; None for a new one.
      results: of a run that has ended with these flags already; else {}.
      means: split -> its evaluator, once one has been asked for: each is compiled once.
    """

    experiment: Experiment
    preset: str
    config: Any
    argv: Sequence[str]
    workdir: Path
    data: DataSet
    devices: Devices
    learner: Learner
    local_learner: Learner
    evaluator: SampleEvaluator | None
    before: dict[str, Any] | None
    results: dict[str, Any]
    means: dict[str, Callable[[State], dict[str, np.ndarray]]] = field(default_factory=dict)

    def run(self, state: State, step: int, split: str, index: int = 0) -> Run:
        """Returns the run of one seed at a state, as analyses and samplers take it."""
        key, figures = make_keys(self.config.seed).sample, self.workdir / "figures"
        state = state_of_seed(state, self.config.seeds, index)
        return Run(self.config, self.data, self.local_learner, state, key, step, figures, split)

    def evaluate(self, splits: Sequence[str]) -> Callable[[State], dict[str, np.ndarray]]:
        """Returns a function: state -> means over splits, and measures of samples beside the last of them."""
        for split in splits:
            if split not in self.means:
                rest = (self.devices, self.config)
                self.means[split] = split_evaluator(self.learner, self.data, [split], *rest)

        def values(state):
            of_splits = {name: value for split in splits for name, value in self.means[split](state).items()}
            if self.evaluator is None:
                return of_splits
            metrics, seeds, whole = self.experiment.sample_metrics, self.config.seeds, to_host(state)
            return of_splits | measure_samples(
                metrics, self.evaluator, lambda index: self.run(whole, 0, splits[-1], index), seeds
            )

        return values

    @property
    def split_while_training(self) -> str:
        """The held-out split that is looked at before the end."""
        return "test" if self.data.validation is None else "validation"


def prepare(experiment: Experiment, values: flags.FlagValues, argv: Sequence[str]) -> Prepared:
    """Loads the data, makes the learner, and checks that the workdir's run may go on. Writes nothing but the folder.

    Raises:
      UserError: a flag, the data, or the run that is there already forbid it.
    """
    config = _config(experiment, values)
    _join_processes(values)
    workdir = Path(values.workdir or Path("runs") / f"{experiment.name}-{values.config}").absolute()
    data = experiment.load(config)
    data.check()
    devices = make_devices(config.parallel)
    devices.local_slice(config.batch_size)  # refuses a batch that the devices can't share
    if config.batch_size > len(data.train):
        reason = f"{data.name} has {len(data.train)} examples to train on"
        raise ConfigError("batch_size", config.batch_size, reason)
    learners = [experiment.build(config, data, axis_name) for axis_name in (devices.axis_name, None)]
    if config.patience:
        _check_patience(config, data, learners[-1])
    evaluator = experiment.evaluator(config, data)
    before = records.check_resume(workdir, experiment, config)
    records.check_same_data(workdir, before, data)
    alone = jax.process_count() == 1  # several processes may not all see the same files
    results = records.finished_results(workdir, before, config, evaluator) if alone else {}
    try:
        (workdir / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("workdir", workdir, f"cannot be made: {error.strerror}") from error
    asked = (experiment, values.config, config, argv)
    return Prepared(*asked, workdir, data, devices, *learners, evaluator, before, results)


def _check_patience(config: Any, data: DataSet, learner: Learner) -> None:
    """Refuses patience where there is no held-out loss that could fall."""
    batch = data.transform(data.train.take(np.zeros(1, np.int64)))
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key, batch)
    metrics = jax.eval_shape(learner.evaluate, state, batch, key)
    if data.validation is None or "loss" not in metrics:
        lacking = "no validation split" if data.validation is None else "no held-out loss"
        raise ConfigError("patience", config.patience, f"there is {lacking}; give 0")


def _config(experiment: Experiment, values: flags.FlagValues) -> Any:
    preset = experiment.presets[values.config]
    config = dataclasses.replace(preset, **config_flags.chosen(experiment.config, values))
    config_flags.check_effects(config, preset)
    return config


def _record(prepared: Prepared) -> None:
    """Writes flags.json, and takes away results that training will make old."""
    p = prepared
    parameters = count_parameters(p.experiment.networks(p.config, p.data)).total
    if p.before is None:
        run = records.describe(p.experiment, p.preset, p.config, p.argv, parameters, p.data.digest)
    else:
        run = records.resumed(p.before, p.experiment, p.config)
    if not p.results and not records.is_at_its_end(p.workdir, p.config):
        (p.workdir / "results.json").unlink(missing_ok=True)
    write_json(p.workdir / "flags.json", run)
    sys.stderr.write(
        f"{p.experiment.name} {p.preset}: {parameters:,} parameters, {len(p.data.train):,} training examples of "
        f"{p.data.name}, {jax.device_count()} x {jax.devices()[0].device_kind}; {p.workdir}\n"
    )


def train(prepared: Prepared, profile: bool = False) -> loop.TrainResult:
    """Trains, from where the run is to its end or until it is stopped."""
    p, config = prepared, prepared.config
    writes = jax.process_index() == 0
    if writes:
        _record(p)

    def preview(state, step):
        state = to_host(state)
        if writes:
            p.experiment.preview(p.run(state, step, p.split_while_training))

    return loop.train(
        p.learner,
        p.data,
        p.devices,
        p.workdir,
        steps=config.steps,
        batch_size=config.batch_size,
        seed=config.seed,
        seeds=config.seeds,
        log_every=config.log_every,
        eval_every=config.eval_every,
        checkpoint_every=config.checkpoint_every,
        patience=config.patience,
        evaluate=p.evaluate([p.split_while_training]),
        preview=preview,
        profile=profile,
    )


def finish(prepared: Prepared, trained: loop.TrainResult) -> None:
    """Measures and draws what a training led to, unless that is there already."""
    p, config = prepared, prepared.config
    writes = jax.process_index() == 0
    if not trained.finished:
        if writes:
            (p.workdir / "results.json").unlink(missing_ok=True)  # of an end whose checkpoint is damaged, perhaps
        sys.stderr.write(f"stopped and saved at step {trained.step} of {config.steps}; the same command goes on\n")
        return
    if p.results and trained.began == trained.step:
        sys.stderr.write("it has ended; `evaluate` makes its numbers and figures again\n")
        _show(p.workdir, p.results)
        return
    if p.split_while_training == "test" and trained.evaluated is not None:
        results = to_results(trained.evaluated)
    else:
        results = to_results(p.evaluate(HELD_OUT)(trained.state))
    state = to_host(trained.state)
    if not writes:
        return
    if config.seeds > 1:
        results["protocol"] = {"figures_and_analysis": f"of seed {config.seed}, the first of {config.seeds}"}
    results = records.merged(results, records.of_samples(p.evaluator))
    step = trained.step
    if trained.best_step is not None:
        results |= to_results({"best_step": trained.best_step, "steps_trained": trained.step})
        step = int(trained.best_step.flat[0])
    results = records.merged(results, p.experiment.analyse(p.run(state, step, "test")))
    results["training_minutes"] = round(training_minutes(read_rows(p.workdir / "metrics.jsonl")), 2)
    if trained.began == trained.step:  # what else was measured of this state stays
        records.add_results(p.workdir, results, replaced=records.kinds_of_samples(p.evaluator))
    else:
        write_json(p.workdir / "results.json", results)
    _show(p.workdir, results)


def _show(workdir: Path, results: Mapping[str, Any]) -> None:
    """Prints results, and writes the page about them."""
    page = report.write_report(workdir)
    sys.stdout.write(format_results(results))
    sys.stderr.write(f"figures: {workdir / 'figures'}\nreport:  {page}\n")


def execute(experiment: Experiment, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Does what parsed flags ask for."""
    if values.dry_run:
        sys.stdout.write(dry_run(experiment, _config(experiment, values)))
        return
    prepared = prepare(experiment, values, argv)
    finish(prepared, train(prepared, values.profile))


def main(experiment: Experiment, about: str, argv: Sequence[str] | None = None) -> None:
    """Runs an experiment from the command line.

    Args:
      experiment: which.
      about: the script's docstring, for --help.
      argv: the program's name and its flags; None: those of this process.
    """
    argv = sys.argv if argv is None else argv
    command.run(lambda values: execute(experiment, values, argv), about, _define(experiment, argv), argv)
