"""Records in a run's folder: flags.json, results.json, and the checks before a run resumes."""

import dataclasses
import datetime
import importlib.metadata
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import EvaluationOnly, FixesOnResume, MayChangeOnResume
from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.core.json_files import from_json, read_json, write_json
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs import bundled
from gdl_jax.runs.experiment import Experiment, SampleEvaluator

VERSIONS = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# Experiments of older runs, whose flags.json names no module, are found here by name.
LEGACY_MODULE = "experiments.registry"
EVALUATION = "evaluation"  # entry of the protocol: flags of an evaluation that differ from the run's own


def _commit() -> str | None:
    try:
        here = Path(__file__).resolve().parent
        command = ["git", "rev-parse", "--show-toplevel", "--short", "HEAD"]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True)
    except OSError:
        return None
    top, _, commit = done.stdout.strip().partition("\n")
    is_clone = bool(commit) and Path(top).resolve() == bundled.PACKAGE.parent  # else the library is installed there
    return commit if is_clone else None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _absolute(path: str) -> str:
    return str(Path(expand_user(path)).absolute())


def with_absolute_paths(config: Any) -> dict[str, Any]:
    """Returns a config's values with absolute paths, as in flags.json, so that tools can run in any directory."""
    return config_flags.with_paths(type(config), dataclasses.asdict(config), _absolute)


def _comparable(config: Any, by_digest: bool) -> dict[str, Any]:
    """Returns a config's values for comparison with another's, without the paths of data that a digest identifies."""
    values = with_absolute_paths(config)
    if by_digest:
        for name, rule in config_flags.path_rules(type(config)).items():
            values[name] = rule.without_path(values[name])
    return values


def _may_change(config: Any) -> set[str]:
    """Returns the names of the fields that may change when a run resumes."""
    free, fixed = set(), set()
    for name, rules in config_flags.rules(type(config)).items():
        for rule in rules:
            unless = getattr(rule, "unless", "")
            allowed = bool(unless and getattr(config, unless))
            if isinstance(rule, MayChangeOnResume) and not allowed:
                free.add(name)
            if isinstance(rule, FixesOnResume) and getattr(config, name) in rule.values and not allowed:
                fixed.add(rule.field)
    return free - fixed


def _decides_results(config: Any) -> set[str]:
    """Returns the names of the fields that may change on resume but affect the results."""
    found = config_flags.rules(type(config)).items()
    return {"steps"} | {name for name, rules in found for rule in rules if isinstance(rule, EvaluationOnly)}


def read_flags(path: Path) -> dict[str, Any]:
    """Returns the contents of a run's flags.json.

    Raises:
      UserError: the file is missing or damaged.
    """
    contents = read_json(path)
    if not contents:
        raise UserError(f"{path.parent}: contains no run (no flags.json)")
    if not isinstance(contents.get("flags"), dict) or "experiment" not in contents:
        raise UserError(f"{path}: cannot be read: it has no flags")
    return contents


def read_description(workdir: Path) -> dict[str, Any] | None:
    """Returns the description of a run's data (see `data.description`); None if there is none.

    Raises:
      UserError: the file is damaged.
    """
    return read_json(workdir / "data.json") or None


def read_results(workdir: Path) -> dict[str, Any]:
    """Returns the contents of a run's results.json; {} if there is none. Non-finite numbers are NaN.

    Raises:
      UserError: the file is damaged.
    """
    return read_json(workdir / "results.json", from_json)


def _module_name(module: str) -> str:
    """Returns the name or the file by which another program can import a module."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    if main.__spec__:
        return main.__spec__.name
    file = getattr(main, "__file__", None)
    if file is None:
        raise UserError("an experiment must be defined in a file, so that tools can import it later")
    return str(Path(file).resolve())


def _load_file(path: Path) -> ModuleType:
    """Imports a file as a module with a unique name; appends its folder to sys.path for its own imports."""
    name = "experiment_in_" + re.sub(r"\W", "_", str(path))
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # true for any .py file
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
      UserError: its module can't be imported, or does not define it.
    """
    name, module = saved["experiment"], saved.get("module", LEGACY_MODULE)
    try:
        loaded = _load_file(Path(module)) if module.endswith(".py") else bundled.import_module(module)
    except (Exception, SystemExit) as error:  # user code may raise anything
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{workdir}: the experiment's module {module} cannot be imported: {reason}") from error
    if module == LEGACY_MODULE:
        return loaded.find(name)
    experiment = getattr(loaded, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment) or experiment.name != name:
        raise UserError(f"{workdir}: {module} has no EXPERIMENT named {name}")
    return experiment


def describe(
    experiment: Experiment, preset: str, config: Any, argv: Sequence[str], parameters: int, digest: str
) -> dict[str, Any]:
    """Returns flags.json of a new run."""
    module = _module_name(experiment.module)
    return {
        "experiment": experiment.name,
        "module": module,
        "config": preset,
        "command": " ".join([bundled.program(module), *map(shlex.quote, argv[1:])]),
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
    """Returns flags.json of a resumed run: its current flags, with time and commit of the resumption added."""
    resumption = {"at": _now(), "commit": _commit()}
    return dict(before) | {
        "module": _module_name(experiment.module),
        "flags": with_absolute_paths(config),
        "resumed": [*before.get("resumed", []), resumption],
    }


def check_resume(workdir: Path, experiment: Experiment, config: Any) -> dict[str, Any] | None:
    """Returns the saved flags.json if there is a checkpoint to resume from, else None.

    Raises:
      UserError: the run is of another experiment, has other hyperparameters (names them), or has made more than
        `steps` updates; or flags.json is damaged.
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
            "workdir", workdir, f"holds a run with another config: {'; '.join(changed)} (use another workdir)"
        )
    if made > config.steps:
        raise ConfigError(
            "steps", config.steps, f"{workdir} has made {made} updates already (use {made} or more, or another workdir)"
        )
    return before


def check_same_data(workdir: Path, before: Mapping[str, Any] | None, data: DataSet) -> None:
    """Refuses data whose digest differs from that of the run's training data.

    Raises:
      ConfigError: the digests differ; names workdir.
    """
    recorded = before and before.get("data_digest")  # "" or missing in older runs, whose data had no digest yet
    if recorded and data.digest and recorded != data.digest:
        raise ConfigError(
            "workdir",
            workdir,
            f"{data.name}, or the code that reads it, has changed since this run began; use another workdir",
        )


def has_ended(workdir: Path) -> bool:
    """True if training finished. results.json alone is no proof: `evaluate` writes it for interrupted runs too."""
    return "training_minutes" in read_results(workdir)


def newest_step(workdir: Path) -> int | None:
    """Returns the step of a run's newest checkpoint; None if there is none."""
    steps = (int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit())
    return max(steps, default=None)


def is_fully_trained(workdir: Path, config: Any) -> bool:
    """True if a run has results and, judging by its checkpoints, no updates left to make."""
    try:
        results = read_results(workdir)
    except UserError:
        return False
    made = newest_step(workdir)
    stopped_early = results.get("steps_trained")
    return "training_minutes" in results and made in (config.steps, stopped_early) and made is not None


def of_samples(evaluator: SampleEvaluator | None) -> dict[str, Any]:
    """Returns the protocol and the reference numbers of an evaluator of samples, for results.json."""
    return {"protocol": {"samples": evaluator.protocol}, **evaluator.reference} if evaluator else {}


def merged(results: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Returns results updated with others; their protocols are merged."""
    protocol = {**results.get("protocol", {}), **more.get("protocol", {})}
    both = {**results, **more}
    return both | {"protocol": protocol} if protocol else both


def check_writable(workdir: Path) -> None:
    """Checks that results can be written, before they are computed.

    Raises:
      ConfigError: the folder is read-only; names workdir.
    """
    if not os.access(workdir, os.W_OK):
        raise ConfigError("workdir", workdir, "cannot be written: it is read-only (copy the run to evaluate it)")


def add_results(workdir: Path, more: Mapping[str, Any], replaced: Collection[str] = ()) -> None:
    """Adds measurements of a run to its results.json.

    Args:
      workdir: directory of the run.
      more: snake_case names -> numbers, {"mean", "std", ...} or texts; "protocol" -> {name: how it was measured}.
      replaced: kinds of results, KIND in "KIND/METRIC", whose earlier values are deleted.

    Raises:
      UserError: the file is damaged, or can't be written.
    """
    path = workdir / "results.json"
    kept = {name: value for name, value in read_results(workdir).items() if name.partition("/")[0] not in replaced}
    kept["protocol"] = {name: how for name, how in kept.get("protocol", {}).items() if name != EVALUATION}
    write_json(path, merged(kept, more))


def kinds_of_samples(evaluator: SampleEvaluator | None) -> set[str]:
    """Returns the kinds of results that an evaluator of samples produces, including reference numbers."""
    return {"samples", *(name.partition("/")[0] for name in evaluator.reference)} if evaluator else set()


def finished_results(
    workdir: Path, before: Mapping[str, Any] | None, config: Any, evaluator: SampleEvaluator | None
) -> dict[str, Any]:
    """Returns the results of a complete run with figures, if the same flags and metrics produced them; else {}."""
    if before is None:
        return {}
    was, now = with_absolute_paths(config_flags.from_dict(type(config), before["flags"])), with_absolute_paths(config)
    if config_flags.changed(was, now, ignore=_may_change(config) - _decides_results(config)):
        return {}
    try:
        results = read_results(workdir)
    except UserError:
        return {}  # damaged: they are recomputed
    expected = of_samples(evaluator)
    protocol = expected.pop("protocol", {})
    recorded = results.get("protocol", {})
    same = results.items() >= expected.items() and all(recorded.get(name) == how for name, how in protocol.items())
    same = same and EVALUATION not in recorded
    return results if same and "training_minutes" in results and (workdir / "figures").is_dir() else {}
