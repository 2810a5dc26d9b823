"""What a run's folder says of the run: flags.json, results.json, and whether the run may go on."""

import dataclasses
import datetime
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import EvaluationOnly, FixesOnResume, IsPath, IsPathAfter, MayChangeOnResume
from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs.experiment import Experiment, SampleEvaluator
from gdl_jax.runs.json_files import read_json, write_json

VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# Runs made before flags.json named a module are of this package, whose registry knows them.
OLDER_RUNS = "experiments.registry"
EVALUATION = "evaluation"  # in the protocol: flags with which a run was evaluated, where they are not its own


def _commit() -> str | None:
    try:
        here = Path(__file__).resolve().parent
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def with_absolute_paths(config: Any) -> dict[str, Any]:
    """Returns a config's values with absolute paths, as flags.json has them: a run is evaluated from any directory."""
    values = dataclasses.asdict(config)
    for name, rules in config_flags.rules(type(config)).items():
        for rule in rules:
            if isinstance(rule, IsPath | IsPathAfter):
                values[name] = rule.absolute(values[name], _absolute)
    return values


def _comparable(config: Any, by_digest: bool) -> dict[str, Any]:
    """A config's values as two runs are compared; where a digest tells data apart, without the paths that it covers."""
    values = with_absolute_paths(config)
    if by_digest:
        for name, rules in config_flags.rules(type(config)).items():
            for rule in rules:
                if isinstance(rule, IsPath | IsPathAfter):
                    values[name] = rule.without_path(values[name])
    return values


def _may_change(config: Any) -> set[str]:
    """Names of the fields that may have another value when a run resumes."""
    free, fixed = set(), set()
    for name, rules in config_flags.rules(type(config)).items():
        for rule in rules:
            allowed = bool(getattr(rule, "unless", "") and getattr(config, rule.unless))
            if isinstance(rule, MayChangeOnResume) and not allowed:
                free.add(name)
            if isinstance(rule, FixesOnResume) and getattr(config, name) in rule.values and not allowed:
                fixed.add(rule.field)
    return free - fixed


def _decides_results(config: Any) -> set[str]:
    """Names of the fields that may change on resume and on which results depend all the same."""
    found = config_flags.rules(type(config)).items()
    return {"steps"} | {name for name, rules in found for rule in rules if isinstance(rule, EvaluationOnly)}


def read_flags(path: Path) -> dict[str, Any]:
    """Returns the contents of a run's flags.json.

    Raises:
      UserError: it is missing or damaged.
    """
    contents = read_json(path)
    if not contents:
        raise UserError(f"{path.parent}: holds no run (no flags.json)")
    if not isinstance(contents.get("flags"), dict) or "experiment" not in contents:
        raise UserError(f"{path}: cannot be read: it has no flags")
    return contents


def _module_name(module: str) -> str:
    """The name, or the file, under which a module can be imported by another program."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    if main.__spec__:
        return main.__spec__.name
    if getattr(main, "__file__", None) is None:
        raise UserError("an experiment must be in a file, so that tools find it again by its run's folder")
    return str(Path(main.__file__).resolve())


def _load_file(path: Path) -> ModuleType:
    """The module in a file, under a name that no other module has; its folder is searched for what it imports."""
    name = "experiment_in_" + re.sub(r"\W", "_", str(path))
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def find_experiment(saved: Mapping[str, Any], workdir: Path) -> Experiment:
    """Returns the experiment that a run's flags.json names.

    Raises:
      UserError: its module can't be imported, or has no such experiment.
    """
    name, module = saved["experiment"], saved.get("module", OLDER_RUNS)
    try:
        loaded = _load_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
    except (Exception, SystemExit) as error:  # it is the user's, and may raise anything
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{workdir}: the experiment's module {module} cannot be imported: {reason}") from error
    if module == OLDER_RUNS:
        return loaded.find(name)
    experiment = getattr(loaded, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment) or experiment.name != name:
        raise UserError(f"{workdir}: {module} has no EXPERIMENT named {name}")
    return experiment


def describe(
    experiment: Experiment, preset: str, config: Any, argv: Sequence[str], parameters: int, digest: str
) -> dict[str, Any]:
    """Returns flags.json of a run that begins."""
    module = _module_name(experiment.module)
    program = f"python {module}" if module.endswith(".py") else f"python -m {module}"
    return {
        "experiment": experiment.name,
        "module": module,
        "config": preset,
        "command": " ".join([program, *argv[1:]]),
        "flags": with_absolute_paths(config),
        "defaults": dataclasses.asdict(experiment.presets[preset]),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "commit": _commit(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "started": _now(),
        "parameters": parameters,
        "data_digest": digest,
        "headlines": list(experiment.headlines),
    }


def resumed(before: Mapping[str, Any], experiment: Experiment, config: Any) -> dict[str, Any]:
    """Returns flags.json of a run that goes on: its flags as they are now, and when that was."""
    resumption = {"at": _now(), "commit": _commit()}
    return dict(before) | {
        "module": _module_name(experiment.module),
        "flags": with_absolute_paths(config),
        "resumed": [*before.get("resumed", []), resumption],
    }


def check_resume(workdir: Path, experiment: Experiment, config: Any) -> dict[str, Any] | None:
    """Returns flags.json of the run that is to go on, or None where there is none with a checkpoint yet.

    Raises:
      UserError: the run is of another experiment, its hyperparameters were others (names the flags that changed), or it
        has made more updates than it is now to make. Or the file is damaged.
    """
    made = newest_step(workdir)
    if made is None:
        return None
    before = read_flags(workdir / "flags.json")
    if before["experiment"] != experiment.name:
        raise ConfigError("workdir", workdir, f"holds a run of {before['experiment']}, not of {experiment.name}")
    by_digest = bool(before.get("data_digest"))
    was = _comparable(config_flags.from_dict(experiment.config, before["flags"]), by_digest)
    changed = config_flags.changed(was, _comparable(config, by_digest), ignore=_may_change(config))
    if changed:
        raise ConfigError(
            "workdir", workdir, f"holds a run with another config: {'; '.join(changed)} (give another workdir)"
        )
    if made > config.steps:
        raise ConfigError(
            "steps", config.steps, f"{workdir} has made {made} updates already (give {made}, or another workdir)"
        )
    return before


def check_same_data(workdir: Path, before: Mapping[str, Any] | None, data: DataSet) -> None:
    """Refuses data that a run was not trained on, as far as their digests tell.

    Raises:
      ConfigError: they are others; names the directory.
    """
    if before is not None and data.digest and before.get("data_digest", data.digest) != data.digest:
        raise ConfigError("workdir", workdir, f"{data.name} has changed since this run began; give another workdir")


def has_ended(workdir: Path) -> bool:
    """Whether a run came to its end. That there are results doesn't tell: one that was stopped can be evaluated."""
    return "training_minutes" in read_json(workdir / "results.json")


def newest_step(workdir: Path) -> int | None:
    """Returns how many updates a run's newest checkpoint has; None where there is none."""
    steps = (int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit())
    return max(steps, default=None)


def is_at_its_end(workdir: Path, config: Any) -> bool:
    """Whether a run has results and nothing left to train, as far as its checkpoints tell."""
    try:
        results = read_json(workdir / "results.json")
    except UserError:
        return False
    made = newest_step(workdir)
    stopped_early = results.get("steps_trained")
    return "training_minutes" in results and made in (config.steps, stopped_early) and made is not None


def of_samples(evaluator: SampleEvaluator | None) -> dict[str, Any]:
    """Returns how samples are measured, and what to compare with, for results.json."""
    return {"protocol": {"samples": evaluator.protocol}, **evaluator.reference} if evaluator else {}


def merged(results: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Returns results with more of them, the protocols of both included."""
    protocol = {**results.get("protocol", {}), **more.get("protocol", {})}
    both = {**results, **more}
    return both | {"protocol": protocol} if protocol else both


def add_results(workdir: Path, more: Mapping[str, Any], replaced: Collection[str] = ()) -> None:
    """Adds what was measured of a run to its results.json.

    Args:
      workdir: of the run.
      more: snake_case names -> numbers, {"mean", "std", ...} or texts; "protocol" -> {name: how it was measured}.
      replaced: kinds, KIND of "KIND/METRIC", of which nothing measured before is to stay.

    Raises:
      UserError: the file is damaged, or can't be written.
    """
    path = workdir / "results.json"
    kept = {name: value for name, value in read_json(path).items() if name.partition("/")[0] not in replaced}
    kept["protocol"] = {name: how for name, how in kept.get("protocol", {}).items() if name != EVALUATION}
    write_json(path, merged(kept, more))


def kinds_of_samples(evaluator: SampleEvaluator | None) -> set[str]:
    """Returns the kinds of results that measures of samples have, those to compare with included."""
    return {"samples", *(name.partition("/")[0] for name in evaluator.reference)} if evaluator else set()


def finished_results(
    workdir: Path, before: Mapping[str, Any] | None, config: Any, evaluator: SampleEvaluator | None
) -> dict[str, Any]:
    """Returns the results of a run that has ended and has figures, if the same flags and measures led to them.

    Otherwise {}.
    """
    if before is None:
        return {}
    was, now = with_absolute_paths(config_flags.from_dict(type(config), before["flags"])), with_absolute_paths(config)
    if config_flags.changed(was, now, ignore=_may_change(config) - _decides_results(config)):
        return {}
    try:
        results = read_json(workdir / "results.json")
    except UserError:
        return {}  # damaged: they are made again
    expected = of_samples(evaluator)
    protocol = expected.pop("protocol", {})
    recorded = results.get("protocol", {})
    same = results.items() >= expected.items() and all(recorded.get(name) == how for name, how in protocol.items())
    same = same and EVALUATION not in recorded
    return results if same and "training_minutes" in results and (workdir / "figures").is_dir() else {}
