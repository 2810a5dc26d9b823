"""From a command line to a finished run: flags, config, data, learner, loop, figures, report."""

import dataclasses
import datetime
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from gdl_jax.core import config_flags, loop
from gdl_jax.core.errors import UserError
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import make_evaluate, make_keys
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs import command, report
from gdl_jax.runs.experiment import MAY_CHANGE_ON_RESUME, Experiment, Judge, Run, check_effects
from gdl_jax.runs.json_files import read_json, write_json
from gdl_jax.runs.summary import count_parameters, dry_run

VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
EVALUATION_BATCH = 100
HELD_OUT = ("validation", "test")  # splits; samples are compared with the last
PATH_FLAGS = ("data_dir", "features", "attribute_classifier", "vision", "memory", "glove")
PATH_KINDS = (  # what stands before the colon of KIND:PATH
    *("folder", "latents", "npz", "rollouts", "inception"),
    *("text", "newsqa", "squad", "midi"),
)
NO_PATHS = ("", "vgg16", "bundled")  # what a path's flag may name as well


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
    asked = [text.partition("=")[2] for text in argv if text.startswith("--config=")]
    config_flags.define(experiment.presets[asked[-1] if asked and asked[-1] in names else names[0]], values)
    return values


def _join_processes(values: flags.FlagValues) -> None:
    if values.coordinator is not None:
        if values.num_processes is None or values.process_id is None:
            raise UserError("--coordinator needs --num_processes and --process_id")
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(values.coordinator, values.num_processes, values.process_id)
    elif values.distributed:
        jax.distributed.initialize()


def _commit() -> str | None:
    try:
        here = Path(__file__).resolve().parent
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def absolute_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values with absolute paths, as flags.json has them: a run is evaluated from any directory."""

    def absolute(name, value):
        kind, _, path = str(value).partition(":")
        if kind in PATH_KINDS and path:
            return f"{kind}:{Path(path).expanduser().absolute()}"
        if name in PATH_FLAGS and value not in NO_PATHS:
            return str(Path(value).expanduser().absolute())
        return value

    return {name: absolute(name, value) for name, value in values.items()}


def _told_by_digest(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values but for where its data lie, which may have been moved: `check_same_data` tells whether they are
    the same.
    """
    kind, _, path = values["dataset"].partition(":")
    dataset = kind if kind in PATH_KINDS and path else values["dataset"]
    others = {name: value for name, value in values.items() if name not in ("dataset", "vision", "memory")}
    return absolute_paths(others) | {"dataset": dataset}


def has_ended(workdir: Path) -> bool:
    """Whether a run came to its end. That there are results doesn't tell: one that was stopped can be evaluated."""
    return "training_minutes" in read_json(workdir / "results.json")


def judged_by(judge: Judge | None) -> dict[str, Any]:
    """What results.json says of who judged the samples."""
    return {"samples judged by": judge.protocol, **judge.reference} if judge else {}


def _measured(workdir: Path, before: Mapping[str, Any] | None, config: Any, judge: Judge | None) -> dict[str, Any]:
    """The results of a run that has ended and has figures, if the same flags and judge led to them; else {}."""
    if before is None or config_flags.changed(before["flags"], absolute_paths(dataclasses.asdict(config)), ignore=()):
        return {}
    try:
        results = read_json(workdir / "results.json")
    except UserError:
        return {}  # damaged: they are made again
    ended = "training_minutes" in results and (workdir / "figures").is_dir()
    return results if ended and results.items() >= judged_by(judge).items() else {}


def check_resume(workdir: Path, experiment: Experiment, config: Any) -> dict[str, Any] | None:
    """What flags.json says of the run that is to go on, or None where there is none with a checkpoint yet.

    Raises:
      UserError: the run is of another experiment, its hyperparameters were others (names the flags that changed), or it
        has made more updates than it is now to make. Or the file is damaged.
    """
    steps = (int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit())
    made = max(steps, default=None)
    if made is None:
        return None
    before = read_flags(workdir / "flags.json")
    if before["experiment"] != experiment.name:
        raise UserError(f"--workdir={workdir} holds a run of {before['experiment']}, not of {experiment.name}")
    comparable = _told_by_digest if before.get("data_digest") else absolute_paths
    may_change = set(MAY_CHANGE_ON_RESUME)
    if config.patience:
        may_change.remove("eval_every")  # patience counts in these
    was, now = comparable(before["flags"]), comparable(dataclasses.asdict(config))
    changed = config_flags.changed(was, now, ignore=may_change)
    if changed:
        raise UserError(
            f"--workdir={workdir} holds a run with another config: {'; '.join(changed)} (give another --workdir)"
        )
    if made > config.steps:
        wanted = f"give --steps={made}, or another --workdir"
        raise UserError(f"--steps={config.steps}: {workdir} has made {made} updates already ({wanted})")
    return before


def check_same_data(workdir: Path, before: Mapping[str, Any] | None, data: DataSet) -> None:
    """Refuses data that a run was not trained on, as far as their digests tell.

    Raises:
      UserError: they are others; names the directory.
    """
    if before is not None and data.digest and before.get("data_digest", data.digest) != data.digest:
        raise UserError(f"--workdir={workdir}: {data.name} has changed since this run began; give another --workdir")


def read_flags(path: Path) -> dict[str, Any]:
    """The contents of a run's flags.json.

    Raises:
      UserError: it is missing or damaged.
    """
    contents = read_json(path)
    if not contents:
        raise UserError(f"{path.parent}: holds no run (no flags.json)")
    if not isinstance(contents.get("flags"), dict) or "experiment" not in contents:
        raise UserError(f"{path}: cannot be read: it has no flags")
    return contents


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _describe(
    experiment: Experiment, preset: str, config: Any, argv: Sequence[str], parameters: int, digest: str
) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "config": preset,
        "command": " ".join([f"python -m experiments.{experiment.name}", *argv[1:]]),
        "flags": absolute_paths(dataclasses.asdict(config)),
        "defaults": dataclasses.asdict(experiment.presets[preset]),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "commit": _commit(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "started": _now(),
        "parameters": parameters,
        "data_digest": digest,
    }


def _resumed(before: dict[str, Any], config: Any) -> dict[str, Any]:
    """flags.json of a run that goes on: with the flags that may change as they are now, and when that was."""
    resumption = {"at": _now(), "commit": _commit()}
    values = absolute_paths(dataclasses.asdict(config))
    return before | {"flags": values, "resumed": [*before.get("resumed", []), resumption]}


def one_replica(state: Any, seeds: int, replica: int = 0) -> Any:
    """The state on this process's first device; of one replica where there are several."""
    local = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), state)
    return local if seeds == 1 else jax.tree.map(lambda leaf: leaf[replica], local)


def split_evaluator(
    learner, data, splits: Sequence[str], devices, config: Any
) -> Callable[[Any], dict[str, np.ndarray]]:
    """state -> {"split/metric": mean over the split}, () or (seeds,); of splits that aren't there, nothing."""
    means = {
        split: make_evaluate(learner, data, rows, EVALUATION_BATCH, devices, config.seed, config.seeds)
        for split in splits
        if (rows := getattr(data, split)) is not None
    }

    def evaluate(state):
        values = {split: of_split(state) for split, of_split in means.items()}
        return {f"{split}/{name}": value for split in values for name, value in values[split].items()}

    return evaluate


def measure(experiment, judge: Judge | None, replica_run: Callable[[int], Run], seeds: int) -> dict[str, np.ndarray]:
    """What the judge, if there is one, says of each replica's samples: {name: () or (seeds,)}."""
    if judge is None:
        return {}
    runs = map(replica_run, range(seeds))
    rows = [judge.of_samples(experiment.draw(run, run.key, judge.samples)) for run in runs]
    common = [name for name in rows[0] if all(name in row for row in rows)]  # where each replica's has a meaning
    values = {name: np.array([row[name] for row in rows]) for name in common}
    return values if seeds > 1 else {name: value[0] for name, value in values.items()}


def numbers(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """For results.json: numbers, or {"mean", "std", "values"} where there are replicas."""

    def one(value):
        if np.ndim(value) == 0:
            return float(value)
        return {"mean": float(np.mean(value)), "std": float(np.std(value, ddof=1)), "values": np.ravel(value).tolist()}

    return {name: one(value) for name, value in values.items()}


def shown(results: Mapping[str, Any]) -> str:
    """Results as lines "name: value"."""

    def text(value):
        if isinstance(value, dict):
            return f"{value['mean']:.6g} ± {value['std']:.2g}"
        return value if isinstance(value, str) else f"{value:.6g}"

    return "".join(f"{name}: {text(value)}\n" for name, value in results.items())


def training_minutes(rows: Sequence[Mapping[str, Any]]) -> float:
    """Time spent on updates, over all resumptions, from the rows of metrics.jsonl; without compiling and evaluating."""
    seconds, last = 0.0, 0
    for row in rows:
        if "steps_per_second" in row:
            seconds += (row["step"] - last) / row["steps_per_second"]
            last = row["step"]
    return seconds / 60


def execute(experiment: Experiment, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Everything after the flags are parsed."""
    config = dataclasses.replace(experiment.presets[values.config], **config_flags.chosen(experiment.config, values))
    check_effects(config, experiment.presets[values.config])
    if values.dry_run:
        sys.stdout.write(dry_run(experiment, config))
        return
    _join_processes(values)
    workdir = Path(values.workdir or Path("runs") / f"{experiment.name}-{values.config}").absolute()
    data = experiment.load(config)
    data.check()
    devices = make_devices(config.parallel)
    devices.columns(config.batch_size)  # refuses a batch that the devices can't share
    if config.batch_size > len(data.train):
        raise UserError(f"--batch_size={config.batch_size}: {data.name} has {len(data.train)} examples to train on")
    if config.patience and data.validation is None:
        raise UserError(f"--patience={config.patience}: {data.name} has no validation split; give --patience=0")
    learner = experiment.build(config, data, devices.axis_name)
    local_learner = experiment.build(config, data, None)
    parameters = count_parameters(experiment.parts(config, data)).total
    judge = experiment.judge(config, data)
    before = check_resume(workdir, experiment, config)
    check_same_data(workdir, before, data)
    writes = jax.process_index() == 0
    alone = jax.process_count() == 1  # several processes may not all see the same files
    measured = _measured(workdir, before, config, judge) if alone else {}
    figures = workdir / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--workdir={workdir}: cannot be made: {error.strerror}") from error
    if writes:
        fresh = before is None
        if fresh:
            run = _describe(experiment, values.config, config, argv, parameters, data.digest)
        else:
            run = _resumed(before, config)
        if not measured:  # results are of the end that the flags name, and of who judges by them
            (workdir / "results.json").unlink(missing_ok=True)
        write_json(workdir / "flags.json", run)
        sys.stderr.write(f"{experiment.name} {values.config}: {parameters:,} parameters, {len(data.train):,} training ")
        sys.stderr.write(f"examples of {data.name}, {jax.device_count()} x {jax.devices()[0].device_kind}; {workdir}\n")

    def run_at(state, step, split, replica=0):
        key, of_one = make_keys(config.seed).sample, one_replica(state, config.seeds, replica)
        return Run(config, data, local_learner, of_one, key, step, figures, split)

    def evaluator(splits):
        means = split_evaluator(learner, data, splits, devices, config)

        def evaluate(state):
            return means(state) | measure(experiment, judge, partial(run_at, state, 0, splits[-1]), config.seeds)

        return evaluate

    during_training = "test" if data.validation is None else "validation"
    outcome = loop.train(
        learner,
        data,
        devices,
        workdir,
        steps=config.steps,
        batch_size=config.batch_size,
        seed=config.seed,
        seeds=config.seeds,
        log_every=config.log_every,
        eval_every=config.eval_every,
        checkpoint_every=config.checkpoint_every,
        patience=config.patience,
        evaluate=evaluator([during_training]),
        preview=lambda state, step: experiment.preview(run_at(state, step, during_training)),
        profile=values.profile,
    )
    if not outcome.finished:
        if writes:
            (workdir / "results.json").unlink(missing_ok=True)  # of an end whose checkpoint is damaged, perhaps
        sys.stderr.write(f"stopped and saved at step {outcome.step} of {config.steps}; the same command goes on\n")
        return
    if measured and outcome.began == outcome.step:
        sys.stderr.write("it has ended; `evaluate` makes its numbers and figures again\n")
        _show(workdir, measured)
        return
    if during_training == "test" and outcome.evaluated is not None:
        results = numbers(outcome.evaluated)
    else:
        results = numbers(evaluator(HELD_OUT)(outcome.state))
    if writes:
        if config.seeds > 1:
            results["figures and analysis"] = f"of seed {config.seed}, the first of {config.seeds}"
        results |= judged_by(judge)
        step = outcome.step
        if outcome.best_step is not None:
            results |= numbers({"best step": outcome.best_step, "steps trained": outcome.step})
            step = int(outcome.best_step.flat[0])
        results |= experiment.analyse(run_at(outcome.state, step, "test"))
        results["training_minutes"] = round(training_minutes(read_rows(workdir / "metrics.jsonl")), 2)
        write_json(workdir / "results.json", results)
        _show(workdir, results)


def _show(workdir: Path, results: Mapping[str, Any]) -> None:
    """Prints results, and writes the page about them."""
    page = report.write_report(workdir)
    sys.stdout.write(shown(results))
    sys.stderr.write(f"figures: {workdir / 'figures'}\nreport:  {page}\n")


def main(experiment: Experiment, about: str, argv: Sequence[str] | None = None) -> None:
    """What `python -m experiments.NAME` does; `about` is the script's docstring."""
    argv = sys.argv if argv is None else argv
    command.run(lambda values: execute(experiment, values, argv), about, _define(experiment, argv), argv)
