"""Complete runs from a command line: flags, config, data, learner, loop, figures, report."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.json_files import write_json
from gdl_jax.core.learner import Learner, State
from gdl_jax.core.loop import Start, TrainResult
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.parallel import Devices, to_host
from gdl_jax.core.programs import make_keys
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.description import describe
from gdl_jax.runs import command, records, report
from gdl_jax.runs.experiment import Experiment, Run, SampleEvaluator
from gdl_jax.runs.lock import locked_for_all
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
from gdl_jax.runs.training import devices_for, held_out_split, run_loop


def _define(experiment: Experiment, argv: Sequence[str]) -> flags.FlagValues:
    values = command.new_flags()
    names = list(experiment.presets)
    command.define_path("workdir", None, f"directory of the run [runs/{experiment.name}-CONFIG]", values)
    flags.DEFINE_enum("config", names[0], names, "preset, whose values the other flags replace", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "show shapes, parameters, FLOPs, memory; do not train", flag_values=values)
    flags.DEFINE_bool("profile", False, "trace one compiled call into WORKDIR/profile", flag_values=values)
    flags.DEFINE_bool("distributed", False, "join the processes started by SLURM or on a TPU pod", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, to join processes manually", flag_values=values)
    flags.DEFINE_integer("num_processes", None, "with --coordinator: number of processes", flag_values=values)
    flags.DEFINE_integer("process_id", None, "with --coordinator: index of this process", flag_values=values)
    preset = command.peek_flag(argv, "config")
    config_flags.define(experiment.presets[preset if preset in names else names[0]], values)
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
    """Everything that training needs.

    Attributes:
      experiment, preset, config, argv: the user's request.
      workdir: directory of the run.
      data: the data set, checked.
      devices: all devices.
      learner: learner for all devices.
      local_learner: learner for one device, used to draw samples.
      evaluator: evaluator of samples, or None.
      before: flags.json of the run to resume; None for a new run. Set by `find_previous`.
      start: from the initial state of a new run to the one to train from, or None. Set by `find_previous`.
      results: results of a run that is already complete with these flags; else {}. Set by `find_previous`.
      means: {split: its evaluator}, a cache, so that each is compiled once.
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
    before: dict[str, Any] | None = None
    start: Start | None = None
    results: dict[str, Any] = field(default_factory=dict)
    means: dict[str, Callable[[State], dict[str, np.ndarray]]] = field(default_factory=dict)

    def run(self, state: State, step: int, split: str, index: int = 0) -> Run:
        """Returns the run of one seed at a state, as passed to analyses and samplers."""
        key, figures = make_keys(self.config.seed).sample, self.workdir / "figures"
        state = state_of_seed(state, self.config.seeds, index)
        return Run(self.config, self.data, self.local_learner, state, key, step, figures, split)

    def evaluate(self, splits: Sequence[str]) -> Callable[[State], dict[str, np.ndarray]]:
        """Returns a function: state -> means over splits, and metrics of samples compared with the last split."""
        for split in splits:
            if split not in self.means:
                rest = (self.devices, self.config, self.experiment.evaluation_batch)
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


def prepare(experiment: Experiment, config: Any, values: flags.FlagValues, argv: Sequence[str]) -> Prepared:
    """Loads the data and builds the learner. Writes nothing.

    Raises:
      UserError: a flag or the data are invalid.
    """
    workdir = Path(values.workdir or Path("runs") / f"{experiment.name}-{values.config}").absolute()
    data = experiment.load(config)
    devices = devices_for(config, data)
    learner, local_learner = (experiment.build(config, data, axis_name) for axis_name in (devices.axis_name, None))
    if config.patience:
        _check_patience(config, data, local_learner)
    evaluator = experiment.evaluator(config, data)
    request = (experiment, values.config, config, argv)
    return Prepared(*request, workdir, data, devices, learner, local_learner, evaluator)


def find_previous(prepared: Prepared) -> Prepared:
    """Returns what is prepared with what the workdir says of earlier commands. Creates the folder for figures.

    Raises:
      UserError: the run in the workdir is not compatible, or a new run's weights cannot be read.
    """
    workdir, config = prepared.workdir, prepared.config
    before = records.check_resume(workdir, prepared.experiment, config)
    records.check_same_data(workdir, before, prepared.data)
    alone = jax.process_count() == 1  # several processes may not all see the same files
    results = records.finished_results(workdir, before, config, prepared.evaluator) if alone else {}
    is_new, experiment = before is None, prepared.experiment
    start = experiment.start(config, prepared.data) if is_new and experiment.start is not None else None
    (workdir / "figures").mkdir(parents=True, exist_ok=True)
    return dataclasses.replace(prepared, before=before, start=start, results=results)


def _check_patience(config: Any, data: DataSet, learner: Learner) -> None:
    """Refuses patience if there is no validation loss to monitor."""
    batch = data.transform(data.example())
    key = jax.random.key(0)
    state = jax.eval_shape(learner.init, key, batch)
    metrics = jax.eval_shape(learner.evaluate, state, batch, key)
    if data.validation is None or "loss" not in metrics:
        lacking = "no validation split" if data.validation is None else "no held-out loss"
        raise ConfigError("patience", config.patience, f"there is {lacking}; use 0")


def _config(experiment: Experiment, values: flags.FlagValues) -> Any:
    preset = experiment.presets[values.config]
    config = dataclasses.replace(preset, **config_flags.chosen(experiment.config, values))
    config_flags.check_effects(config, preset)
    return config


def _record(prepared: Prepared) -> None:
    """Writes flags.json and data.json, and deletes results that further training makes obsolete."""
    p = prepared
    parameters = count_parameters(p.experiment.networks(p.config, p.data)).total
    if p.before is None:
        run = records.describe(p.experiment, p.preset, p.config, p.argv, parameters, p.data.digest)
    else:
        run = records.resumed(p.before, p.experiment, p.config)
    if not p.results and not records.is_fully_trained(p.workdir, p.config):
        (p.workdir / "results.json").unlink(missing_ok=True)
    write_json(p.workdir / "flags.json", run)
    if (description := describe(p.data)) is not None:
        write_json(p.workdir / "data.json", description)
    else:
        (p.workdir / "data.json").unlink(missing_ok=True)  # of an earlier command
    sys.stderr.write(
        f"{p.experiment.name} {p.preset}: {parameters:,} parameters, {len(p.data.train):,} training examples of "
        f"{p.data.name}, {jax.device_count()} x {jax.devices()[0].device_kind}; {p.workdir}\n"
    )


def train(prepared: Prepared, profile: bool = False) -> TrainResult:
    """Trains from the run's current step to its end, or until a signal stops it."""
    p, split = prepared, held_out_split(prepared.data)
    writes = jax.process_index() == 0
    if writes:
        _record(p)

    def preview(state, step):
        state = to_host(state)
        if writes:
            p.experiment.preview(p.run(state, step, split))

    evaluate = p.evaluate([split])
    return run_loop(
        p.config,
        p.learner,
        p.data,
        p.devices,
        p.workdir,
        evaluate=evaluate,
        preview=preview,
        start=p.start,
        profile=profile,
    )


def finish(prepared: Prepared, trained: TrainResult) -> None:
    """Evaluates the trained state and draws its figures, unless that has been done already."""
    p, config = prepared, prepared.config
    writes = jax.process_index() == 0
    if not trained.finished:
        if writes:
            (p.workdir / "results.json").unlink(missing_ok=True)  # perhaps of a later, damaged checkpoint
        progress = f"stopped and saved at step {trained.step} of {config.steps}"
        sys.stderr.write(f"{progress}; rerun the same command to resume\n")
        return
    if p.results and trained.began == trained.step:
        sys.stderr.write("already complete; run `evaluate` to recompute results\n")
        _show(p.workdir, p.results)
        return
    if held_out_split(p.data) == "test" and trained.evaluated is not None:
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
    if trained.began == trained.step:  # keeps other measurements of this state
        records.add_results(p.workdir, results, replaced=records.kinds_of_samples(p.evaluator))
    else:
        write_json(p.workdir / "results.json", results)
    _show(p.workdir, results)


def _show(workdir: Path, results: Mapping[str, Any]) -> None:
    """Prints the results and writes the report."""
    page = report.write_report(workdir)
    sys.stdout.write(format_results(results))
    sys.stderr.write(f"figures: {workdir / 'figures'}\nreport:  {page}\n")


def execute(experiment: Experiment, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Runs an experiment with parsed flags."""
    config = _config(experiment, values)
    if values.dry_run:
        sys.stdout.write(dry_run(experiment, config))
        return
    _join_processes(values)
    prepared = prepare(experiment, config, values, argv)
    with locked_for_all(prepared.workdir):
        prepared = find_previous(prepared)
        finish(prepared, train(prepared, values.profile))


def main(experiment: Experiment, about: str, argv: Sequence[str] | None = None) -> None:
    """Runs an experiment from the command line.

    Args:
      experiment: the experiment.
      about: the script's docstring, for --help.
      argv: the program's name and its flags; None: those of this process.
    """
    argv = sys.argv if argv is None else argv
    command.run(lambda values: execute(experiment, values, argv), about, _define(experiment, argv), argv)
