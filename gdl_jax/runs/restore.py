"""Any run rebuilt from its working directory alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gdl_jax.core import config_flags, early_stopping
from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import State
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import initial_state, make_keys
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs.experiment import Experiment, Run
from gdl_jax.runs.measure import state_of_seed
from gdl_jax.runs.records import check_same_data, find_experiment, read_flags


class RestoredRun(NamedTuple):
    """A run at its newest checkpoint; with patience, in its best state.

    Attributes:
      experiment: which.
      run: the run, of the first seed where there are several; its step is that of the state.
      state: of all seeds.
    """

    experiment: Experiment
    run: Run
    state: State


def restore(
    workdir: Path,
    warn: Callable[[str], None],
    load: Callable[[Any], DataSet] | None = None,
    expected: str | None = None,
) -> RestoredRun:
    """Returns the run that `workdir` holds. Only reads it.

    Args:
      workdir: of the run.
      warn: takes a line about a checkpoint that is damaged.
      load: config -> data set with the shapes of the run's own, where that itself is not wanted.
      expected: name of the only experiment whose run will do.

    Raises:
      UserError: no run there or one of another experiment, none of its checkpoints can be read, or its data have
        changed or can't be loaded; names the directory.
    """
    saved = read_flags(workdir / "flags.json")
    if expected not in (None, saved["experiment"]):
        raise UserError(f"{workdir} holds a run of {saved['experiment']}, not of {expected}")
    experiment = find_experiment(saved, workdir)
    config = config_flags.from_dict(experiment.config, saved["flags"])
    try:
        data = (load or experiment.load)(config)
    except UserError as error:
        raise UserError(f"{workdir}: the run's data cannot be loaded: {error}") from error
    check_same_data(workdir, saved, data)
    devices = make_devices("jit")
    learner = experiment.build(config, data, None)
    like = initial_state(learner, data, devices, config.seed, config.seeds)
    if not (workdir / "checkpoints").is_dir():
        raise UserError(f"{workdir}: the run has no checkpoint yet")
    checkpoints = Checkpoints(workdir / "checkpoints", warn=warn)
    best = early_stopping.none_yet(like, config.seeds) if config.patience else None
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
