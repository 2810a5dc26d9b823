"""Any run rebuilt from its working directory alone."""

from pathlib import Path

from experiments import registry
from experiments.experiment import Experiment, Run
from experiments.run import first_replica, read_flags
from gdl_jax.core import flags as config_flags
from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import UserError
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import initial_state, make_keys


def restore(workdir: Path, warn) -> tuple[Experiment, Run]:
    """The experiment and the run at its newest checkpoint (the first replica of several).

    Raises:
      UserError: no run there, or none of its checkpoints can be read.
    """
    saved = read_flags(workdir / "flags.json")
    experiment = registry.find(saved["experiment"])
    config = config_flags.from_dict(experiment.config, saved["flags"])
    data = experiment.load(config)
    devices = make_devices("jit")
    learner = experiment.build(config, data, None)
    like = initial_state(learner, data, devices, config.seed, config.seeds)
    if not (workdir / "checkpoints").is_dir():
        raise UserError(f"--workdir={workdir}: the run has no checkpoint yet")
    checkpoints = Checkpoints(workdir / "checkpoints", warn=warn)
    restored = checkpoints.restore(like)
    checkpoints.close()
    if restored is None:
        raise UserError(f"--workdir={workdir}: the run has no checkpoint yet")
    state = first_replica(restored.state, config.seeds)
    figures = workdir / "figures"
    figures.mkdir(exist_ok=True)
    key = make_keys(config.seed).sample
    return experiment, Run(config, data, learner, state, key, restored.step, figures)
