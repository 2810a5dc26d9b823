"""Training with a run's config: the part that command lines and Python programs share."""

from pathlib import Path

from gdl_jax.core import loop
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.core.loop import Evaluate, Preview, Start, TrainResult
from gdl_jax.core.parallel import Devices, make_devices
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs.config import RunConfig


def devices_for(config: RunConfig, data: DataSet) -> Devices:
    """Returns the devices to train on, after checking that the data are sound and have enough examples for a batch.

    Raises:
      UserError: a file of the data is damaged, or the batch is larger than the training split or can't be shared
        between the devices.
    """
    data.check()
    devices = make_devices(config.parallel)
    devices.local_slice(config.batch_size)  # raises if the devices can't share the batch
    if config.batch_size > len(data.train):
        reason = f"{data.name} has only {len(data.train)} training examples"
        raise ConfigError("batch_size", config.batch_size, reason)
    return devices


def held_out_split(data: DataSet) -> str:
    """Returns the split that is evaluated during training: validation, or test if there is no validation split."""
    return "test" if data.validation is None else "validation"


def run_loop(
    config: RunConfig,
    learner: Learner,
    data: DataSet,
    devices: Devices,
    workdir: Path,
    *,
    evaluate: Evaluate,
    preview: Preview | None = None,
    start: Start | None = None,
    profile: bool = False,
) -> TrainResult:
    """Calls `loop.train` with the values of a config; the other arguments are passed on."""
    return loop.train(
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
        evaluate=evaluate,
        preview=preview,
        start=start,
        profile=profile,
    )
