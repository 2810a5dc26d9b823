"""Hyperparameters, learner, sampling and failure modes of all experiments with a generator and a critic."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import optax
from flax import linen as nn
from PIL import Image

from gdl_jax.core.config_flags import Above, AtLeast, Needs, OneOf
from gdl_jax.core.learner import Learner
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.evaluation.instability import failures_of_seeds
from gdl_jax.learners.adversarial import Penalty, adversarial, clip_weights, make_adversarial_loss
from gdl_jax.learners.optimizers import ScheduleConfig, is_weight, make_optimizer
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots import images
from gdl_jax.plots.weights import weight_histograms
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Run

BATCH = 128  # samples per call


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, ScheduleConfig):
    """Hyperparameters of adversarial training; a subclass adds those of the networks.

    Both optimisers follow the schedule, which counts updates of the generator. The moving average is over the
    generator's parameters; samples are drawn with it.
    """

    adversarial_loss: str = "bce"  # bce, least_squares, wasserstein, hinge or package.module:LOSS
    n_critic: Annotated[int, AtLeast(1)] = 1  # critic updates per generator update
    generator_optimizer: str = "rmsprop"  # by name or package.module:function
    generator_learning_rate: Annotated[float, Above(0)] = 4e-4  # peak value where there is a schedule
    critic_optimizer: str = "rmsprop"  # by name or package.module:function
    critic_learning_rate: Annotated[float, Above(0)] = 8e-4  # peak value where there is a schedule
    # update the critic on real and on generated samples in turn, not on both at once
    separate_updates: bool = True
    # normalise the critic's generated samples by their batch's statistics, not by running averages
    batch_statistics: bool = False
    gradient_penalty: Annotated[float, AtLeast(0)] = 0.0  # weight of the penalty on the critic's gradient; 0: none
    # gradient norm at which the penalty is 0
    gradient_penalty_center: Annotated[float, AtLeast(0), Needs("gradient_penalty")] = 1.0
    # points at which the gradient is penalised: interpolates (WGAN-GP), or real (R1 with center 0)
    gradient_penalty_at: Annotated[str, OneOf("interpolates", "real"), Needs("gradient_penalty")] = "interpolates"
    clip: Annotated[float, AtLeast(0)] = 0.0  # limit of the critic's weights; 0: none
    clip_biases: Annotated[bool, Needs("clip")] = True  # clip biases too, as the book does


def make_learner(config: Config, modules: Mapping[str, nn.Module], axis_name: str | None, **functions) -> Learner:
    """Returns the adversarial learner of two networks.

    Args:
      config: of the training.
      modules: {"generator", "critic"}.
      axis_name: the pmapped axis or None.
      **functions: of `learners.adversarial`: inputs, real and optionally conditions.
    """
    penalty = Penalty(config.gradient_penalty, config.gradient_penalty_center, config.gradient_penalty_at)
    more = {"constrain": clip_weights(config.clip, config.clip_biases)} if config.clip else {}
    return adversarial(
        **{name: with_axis_name(module, axis_name) for name, module in modules.items()},
        generator_optimizer=make_optimizer(config, "generator_"),
        critic_optimizer=critic_optimizer(config),
        loss=make_adversarial_loss(config.adversarial_loss),
        n_critic=config.n_critic,
        penalty=penalty if config.gradient_penalty else None,
        separate_updates=config.separate_updates,
        batch_statistics=config.batch_statistics,
        accumulate=config.accumulate,
        ema_decay=config.ema_decay,
        axis_name=axis_name,
        **functions,
        **more,
    )


def critic_optimizer(config: Config) -> optax.GradientTransformation:
    """Returns the critic's optimiser; its schedule is stretched, as it makes several updates per generator update."""
    updates = config.n_critic * (2 if config.separate_updates else 1)
    stretched = {name: getattr(config, name) * updates for name in ("steps", "warmup_steps", "decay_steps")}
    decay_at = tuple(step * updates for step in config.decay_at)
    return make_optimizer(dataclasses.replace(config, **stretched, decay_at=decay_at), "critic_")


@functools.lru_cache(maxsize=4)
def _compiled_sample(learner: Learner) -> Callable[..., Any]:
    return jax.jit(lambda state, key, batch: learner.sample(state, key, BATCH, batch))


def draw_outputs(
    run: Run, key: jax.Array, num: int, conditions: Callable[[jax.Array, np.ndarray], Mapping[str, Any]]
) -> np.ndarray:
    """Returns `num` outputs of the generator, (num, ...), drawn in batches of BATCH.

    Args:
      run: its state has the generator.
      key: of the noise.
      num: number of outputs.
      conditions: (key, indices (B,)) -> the generator's conditions for the outputs `indices`, {name: (B, ...)}; {} for
        an unconditional generator. The last batch's indices exceed `num`.
    """
    sample_batch = _compiled_sample(run.learner)

    def batch(i):
        noise_key, row_key = jax.random.split(jax.random.fold_in(key, i))
        return sample_batch(run.state, noise_key, conditions(row_key, np.arange(i * BATCH, (i + 1) * BATCH)))

    batches = [batch(i) for i in range(-(-num // BATCH))]
    return np.concatenate(batches)[:num]


def plot_critic_weights(run: Run) -> None:
    """Plots histograms of the critic's kernels."""
    flat = jax.tree_util.tree_flatten_with_path(run.state.critic.params)[0]
    weights = {"/".join(str(k.key) for k in path): np.asarray(w) for path, w in flat if is_weight(path, w)}
    weight_histograms(weights, run.figures / "critic_weights.png")


def film(figures: Path) -> None:
    """Animates the previews in order of training."""
    frames = [np.asarray(Image.open(path).convert("RGB")) / 255.0 for path in sorted(figures.glob("samples_at_*.png"))]
    if len(frames) > 1:
        images.animation(frames, figures / "training.gif", frames_per_second=4)


def log_rows(run: Run) -> list[dict[str, Any]]:
    """Returns the rows of the run's metrics.jsonl."""
    return read_rows(run.figures.parent / "metrics.jsonl")


def failures(run: Run) -> str:
    """Returns the failure modes found in the log, and their seeds."""
    return failures_of_seeds(log_rows(run), run.config.seed, run.config.seeds) or "none found in the log"
