"""Training and restoring from Python, without a command line."""

from pathlib import Path

from gdl_jax.core.learner import Learner
from gdl_jax.core.loop import TrainResult
from gdl_jax.core.paths import expand_user
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs import command
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Run
from gdl_jax.runs.lock import locked_for_all
from gdl_jax.runs.measure import split_evaluator
from gdl_jax.runs.restore import restore as restore_run
from gdl_jax.runs.training import devices_for, held_out_split, run_loop


def _folder(workdir: str | Path) -> Path:
    return Path(expand_user(str(workdir), "workdir")).absolute()


def train(
    learner: Learner,
    data: DataSet,
    workdir: str | Path,
    *,
    steps: int,
    batch_size: int,
    seed: int = 0,
    seeds: int = 1,
    log_every: int = 100,
    eval_every: int = 0,
    checkpoint_every: int = 0,
    patience: int = 0,
    parallel: str = "jit",
) -> TrainResult:
    """Trains a learner to `steps` updates in total, from the newest checkpoint in `workdir` if there is one.

    The folder does not record the learner, so a change of it is not detected on resume: give each its own folder.
    Tools that restore a run from its folder need an `Experiment`.

    Args:
      learner: the learner.
      data: its data; means over the validation split (over the test split if there is none) are logged and returned.
      workdir: folder for checkpoints, metrics.jsonl and TensorBoard events.
      steps, batch_size, seed, seeds, log_every, eval_every, checkpoint_every, patience: same as in `RunConfig`.
      parallel: jit or fsdp; pmap for a learner made with `axis_name=core.parallel.AXIS`.

    Raises:
      UserError: an invalid value, unusable data, a non-finite metric, or a file that can't be read or written.
    """
    config = RunConfig(
        dataset=data.name,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        seeds=seeds,
        log_every=log_every,
        eval_every=eval_every,
        checkpoint_every=checkpoint_every,
        patience=patience,
        parallel=parallel,
    )
    devices = devices_for(config, data)
    folder = _folder(workdir)
    with locked_for_all(folder):
        evaluate = split_evaluator(learner, data, [held_out_split(data)], devices, config)
        return run_loop(config, learner, data, devices, folder, evaluate=evaluate)


def restore(workdir: str | Path) -> Run:
    """Returns the run in a folder at its newest checkpoint; with patience, in its best state. Only reads the folder.

    `run.learner.sample(run.state, key, num)` draws samples; the command `sample` writes the experiment's own
    figures and files. A damaged checkpoint is reported on standard error, and the previous one is used.

    Raises:
      UserError: there is no run, its experiment or data can't be loaded, or none of its checkpoints can be read.
    """
    return restore_run(_folder(workdir), warn=command.warn).run
