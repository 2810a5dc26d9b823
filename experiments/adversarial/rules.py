"""What every experiment with a generator and a critic shares, whatever it makes: the rules, samples, and failures."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Learner
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.evaluation.instability import failures_of_replicas
from gdl_jax.learners.adversarial import Penalty, adversarial, clip_weights, make_adversarial_loss
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.plots.weights import weight_histograms
from gdl_jax.runs.experiment import RunConfig

BATCH = 128  # samples that one call makes


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    """The rules; the networks' own Config comes in by inheritance."""

    adversarial_loss: str = "bce"  # bce, least_squares, wasserstein, hinge or package.module:LOSS
    n_critic: int = 1  # critic updates for each of the generator
    generator_optimizer: str = "rmsprop"  # by name or package.module:function
    generator_learning_rate: float = 4e-4  # constant, as in the book
    critic_optimizer: str = "rmsprop"  # by name or package.module:function
    critic_learning_rate: float = 8e-4  # constant, as in the book
    separate_updates: bool = True  # the critic learns from real and from generated samples in turn, not at once
    batch_statistics: bool = False  # what is generated for the critic is normalised by its batch, not by averages
    gradient_penalty: float = 0.0  # weight of the penalty on the critic's gradient; 0: none
    gradient_penalty_center: float = 1.0  # the norm that is not penalised
    gradient_penalty_at: str = "interpolates"  # interpolates (WGAN-GP), or real (R1 with center 0)
    clip: float = 0.0  # limit of the critic's weights; 0: none
    clip_biases: bool = True  # clip biases too, as the book does
    ema_decay: float = 0.0  # of an average of the generator's parameters, which then makes the samples; 0: none

    LEAST = RunConfig.LEAST | {
        "z_dim": 1,
        "n_critic": 1,
        "gradient_penalty": 0,
        "gradient_penalty_center": 0,
        "clip": 0,
        "ema_decay": 0,
        "batch_norm_momentum": 0,
    }
    NEEDS = RunConfig.NEEDS | {
        "gradient_penalty_at": "gradient_penalty",
        "gradient_penalty_center": "gradient_penalty",
        "clip_biases": "clip",
    }

    def __post_init__(self):
        super().__post_init__()
        if self.gradient_penalty_at not in ("interpolates", "real"):
            raise UserError(f"--gradient_penalty_at={self.gradient_penalty_at}: choose interpolates or real")
        for name in ("ema_decay", "batch_norm_momentum"):
            if getattr(self, name) >= 1:
                raise UserError(f"--{name}={getattr(self, name)}: must be below 1")


def make_learner(config: Config, modules: Mapping[str, nn.Module], axis_name: str | None, **functions) -> Learner:
    """The learner of {"generator", "critic"} under the config's rules.

    Args:
      config: the rules.
      modules: as `parts` has them.
      axis_name: the pmapped axis or None.
      **functions: what the players see, for `learners.adversarial`: inputs, real, and perhaps conditions.
    """
    optimizers = {
        f"{player}_optimizer": make_optimizer(
            getattr(config, f"{player}_optimizer"),
            getattr(config, f"{player}_learning_rate"),
            f"{player}_",
        )
        for player in ("generator", "critic")
    }
    penalty = Penalty(config.gradient_penalty, config.gradient_penalty_center, config.gradient_penalty_at)
    more = {"constrain": clip_weights(config.clip, config.clip_biases)} if config.clip else {}
    return adversarial(
        **{name: module.clone(axis_name=axis_name) for name, module in modules.items()},
        **optimizers,
        **functions,
        **more,
        loss=make_adversarial_loss(config.adversarial_loss),
        n_critic=config.n_critic,
        penalty=penalty if config.gradient_penalty else None,
        separate_updates=config.separate_updates,
        batch_statistics=config.batch_statistics,
        ema_decay=config.ema_decay,
        axis_name=axis_name,
    )


@functools.lru_cache(maxsize=4)
def _compiled_sample(learner):
    return jax.jit(lambda state, key, batch: learner.sample(state, key, BATCH, batch))


def draw_outputs(run, key, num: int, conditions: Callable[[jax.Array, np.ndarray], Mapping[str, Any]]) -> np.ndarray:
    """`num` outputs of the generator, (num, ...), BATCH at a time.

    Args:
      run: whose generator.
      key: for the noise.
      num: how many.
      conditions: (key, places (B,)) -> what the generator reads of the batch that makes outputs `places`,
        {name: (B, ...)}; {} where it reads nothing. The last batch's places go beyond `num`.
    """
    sample_batch = _compiled_sample(run.learner)

    def batch(i):
        noise_key, row_key = jax.random.split(jax.random.fold_in(key, i))
        return sample_batch(run.state, noise_key, conditions(row_key, np.arange(i * BATCH, (i + 1) * BATCH)))

    batches = [batch(i) for i in range(-(-num // BATCH))]
    return np.concatenate(batches)[:num]


def plot_critic_weights(run) -> None:
    """Histograms of the critic's kernels."""
    flat = jax.tree_util.tree_flatten_with_path(run.state.critic.params)[0]
    weights = {"/".join(str(k.key) for k in path): np.asarray(w) for path, w in flat if w.ndim > 1}
    weight_histograms(weights, run.figures / "critic_weights.png")


def log_rows(run) -> list[dict[str, Any]]:
    """The rows of the run's metrics.jsonl."""
    return read_rows(run.figures.parent / "metrics.jsonl")


def failures(run) -> str:
    """What the log says went wrong, in which seeds."""
    return failures_of_replicas(log_rows(run), run.config.seed, run.config.seeds) or "none seen in the log"
