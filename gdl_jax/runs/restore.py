"""Restoring of any run from its working directory alone."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gdl_jax.core import config_flags, early_stopping
from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import State
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import blank_state, make_keys
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.description import DescriptionError, described
from gdl_jax.runs.experiment import Experiment, Run
from gdl_jax.runs.measure import state_of_seed
from gdl_jax.runs.records import check_same_data, find_experiment, read_description, read_flags


class RestoredRun(NamedTuple):
    """A run at its newest checkpoint; with patience, in its best state.

    Attributes:
      experiment: its experiment.
      run: the run, of the first seed if there are several; its step is that of the state.
      state: state of all seeds.
    """

    experiment: Experiment
    run: Run
    state: State


def restore(
    workdir: Path,
    warn: Callable[[str], None],
    *,
    load: Callable[[Any], DataSet] | None = None,
    expected: str | tuple[str, ...] | None = None,
    read_data: bool = False,
    moved: Mapping[str, str] = MappingProxyType({}),
) -> RestoredRun:
    """Returns the run in `workdir`, without changing it.

    The data that it was trained on are only read when one of their rows is used: sampling needs none.

    Args:
      workdir: directory of the run.
      warn: called with a line about each damaged checkpoint.
      load: config -> data set to use instead of the run's own; it must have the same shapes.
      expected: name of the experiment whose runs are accepted, or several names; None: any.
      read_data: reads the data immediately.
      moved: {field of the config: present path of the data}.

    Raises:
      UserError: there is no run or one of another experiment, none of its checkpoints can be read, or its data have
        changed or can't be loaded; names the directory.
    """
    saved = read_flags(workdir / "flags.json")
    accepted = (expected,) if isinstance(expected, str) else expected
    if accepted is not None and saved["experiment"] not in accepted:
        raise UserError(f"{workdir} holds a run of {saved['experiment']}, not of {' or '.join(accepted)}")
    experiment = find_experiment(saved, workdir)
    config: Any = dataclasses.replace(config_flags.from_dict(experiment.config, saved["flags"]), **moved)

    def load_data():
        try:
            data = (load or experiment.load)(config)
        except UserError as error:
            raise UserError(f"{workdir}: the run's data cannot be loaded: {error}") from error
        check_same_data(workdir, saved, data)
        return data

    description = None if load or read_data else read_description(workdir)
    try:
        data = described(description, load_data) if description else load_data()
    except DescriptionError as error:
        warn(f"{workdir}: {error}; loading the data instead")
        data = load_data()
    devices = make_devices("jit")
    learner = experiment.build(config, data, None)
    like = blank_state(learner, data, config.seed, config.seeds)
    if not (workdir / "checkpoints").is_dir():
        raise UserError(f"{workdir}: the run has no checkpoint yet")
    checkpoints = Checkpoints(workdir / "checkpoints", warn=warn)
    best = early_stopping.initial_best(like, config.seeds) if config.patience else None
    restored = checkpoints.restore(early_stopping.to_save(like, best))
    checkpoints.close()
    if restored is None:
        raise UserError(f"{workdir}: the run has no checkpoint yet")
    state, step = restored.state, restored.step
    if config.patience:
        best = state["best"]
        state, step = best.state, int(best.step.flat[0])
    state = devices.place_state(state)
    key = make_keys(config.seed).sample
    run = Run(config, data, learner, state_of_seed(state, config.seeds), key, step, workdir / "figures")
    return RestoredRun(experiment, run, state)
