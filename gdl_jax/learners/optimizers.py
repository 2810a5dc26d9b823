"""Optimisers of all gradient learners, and their group of hyperparameters.

Names stand for optax's algorithms with Keras's defaults; `package.module:function` is a custom function from the
learning rate (a number, or a schedule: step -> number) to an optax.GradientTransformation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax

from gdl_jax.core.config_flags import Above, AtLeast, Below, FixesOnResume, Needs, OneOf
from gdl_jax.core.errors import ConfigError, UserError, first_line
from gdl_jax.core.lookup import resolve

KERAS_EPSILON = 1e-7  # optax's default is 1e-8; optax adds it after bias correction, Keras before, which is negligible

OPTIMIZERS: dict[str, Callable[[optax.ScalarOrSchedule], optax.GradientTransformation]] = {
    "adam": partial(optax.adam, eps=KERAS_EPSILON),
    "adam_0.5": partial(optax.adam, b1=0.5, eps=KERAS_EPSILON),  # GANs' usual decay of the first moment
    "adam_0.5_0.9": partial(optax.adam, b1=0.5, b2=0.9, eps=KERAS_EPSILON),  # MuseGAN's (book 07_04)
    "adam_0": partial(optax.adam, b1=0.0, b2=0.9, eps=KERAS_EPSILON),  # WGAN-GP's (Gulrajani et al. 2017)
    "adam_0.9_0.95": partial(optax.adam, b2=0.95),  # GPT-3's and nanoGPT's for GPT-2
    "adam_0.9_0.98": partial(optax.adam, b2=0.98, eps=1e-9),  # the transformer's (Vaswani et al. 2017)
    "adam_0.9_0.99": partial(optax.adam, b2=0.99),  # nanoGPT's for small networks
    "rmsprop": partial(optax.rmsprop, decay=0.9, eps=KERAS_EPSILON, eps_in_sqrt=False),
    "sgd": optax.sgd,
}
SCHEDULES = ("constant", "linear", "cosine", "inverse_sqrt", "piecewise")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Learning-rate schedule and options of the updates of every optimiser; the defaults are the plain optimiser."""

    # learning-rate schedule: constant, linear, cosine, inverse_sqrt or piecewise
    schedule: Annotated[str, OneOf(*SCHEDULES), FixesOnResume("steps", ("linear", "cosine"), unless="decay_steps")] = (
        "constant"
    )
    warmup_steps: Annotated[int, AtLeast(0)] = 0  # updates over which the learning rate rises linearly to its peak
    # final learning rate of a linear or cosine schedule, as a fraction of the peak
    final_learning_rate: Annotated[float, AtLeast(0), Needs("schedule=linear|cosine")] = 0.0
    # fraction of the updates after the warm-up during which a linear or cosine schedule stays at its peak
    constant_fraction: Annotated[float, AtLeast(0), Below(1), Needs("schedule=linear|cosine")] = 0.0
    # updates after which a linear or cosine schedule ends; 0: all updates of the run
    decay_steps: Annotated[int, AtLeast(0), Needs("schedule=linear|cosine")] = 0
    # updates after which a piecewise schedule multiplies the learning rate by decay_factor
    decay_at: Annotated[tuple[int, ...], AtLeast(1), Needs("schedule=piecewise")] = ()
    decay_factor: Annotated[float, Above(0), Needs("schedule=piecewise")] = 0.1  # factor of a piecewise schedule
    # decoupled weight decay, multiplied by the learning rate; not applied to biases and norms
    weight_decay: Annotated[float, AtLeast(0)] = 0.0
    clip_norm: Annotated[float, AtLeast(0)] = 0.0  # clip gradients to this global norm; 0: no clipping
    # gradient accumulation: parts into which each batch is split to save memory
    accumulate: Annotated[int, AtLeast(1)] = 1
    # decay of a moving average of the parameters, used in evaluation and sampling; 0: none
    ema_decay: Annotated[float, AtLeast(0), Below(1)] = 0.0


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(ScheduleConfig):
    """Hyperparameters of a learner with one optimiser."""

    # adam, adam_0.5, adam_0.5_0.9, adam_0, adam_0.9_0.95, adam_0.9_0.98, adam_0.9_0.99, rmsprop, sgd or
    # package.module:function
    optimizer: str = "adam"
    learning_rate: Annotated[float, Above(0)] = 1e-3  # learning rate; with a schedule, its peak


def learning_rate_schedule(config: ScheduleConfig, peak: float, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the number of updates.

    With w warm-up steps, step t >= w has the rate f(x) * peak, with c = constant_fraction and x = max(0, ((t - w) /
    (decay_steps - w) - c) / (1 - c)): linear f(x) = 1 - (1 - final) x, cosine f(x) = final + (1 - final) (1 + cos(pi
    x)) / 2. inverse_sqrt has sqrt(max(w, 1) / max(t, w, 1)) * peak (Vaswani et al. 2017), piecewise decay_factor^n *
    peak after n of `decay_at`.

    Args:
      config: of the schedule.
      peak: the highest learning rate.
      steps: number of updates of the run.
    """
    warmup, final, constant = config.warmup_steps, config.final_learning_rate, config.constant_fraction

    def schedule(step):
        step = jnp.asarray(step, jnp.float32)
        length = max((config.decay_steps or steps) - warmup, 1)
        share = jnp.clip(((step - warmup) / length - constant) / (1.0 - constant), 0.0, 1.0)
        factor = {
            "constant": lambda: jnp.ones_like(step),
            "linear": lambda: 1.0 - (1.0 - final) * share,
            "cosine": lambda: final + (1.0 - final) * 0.5 * (1.0 + jnp.cos(jnp.pi * share)),
            "inverse_sqrt": lambda: jnp.sqrt(max(warmup, 1) / jnp.maximum(step, max(warmup, 1))),
            "piecewise": lambda: config.decay_factor ** sum((step >= at).astype(jnp.float32) for at in config.decay_at),
        }[config.schedule]()
        rising = jnp.minimum(1.0, (step + 1.0) / warmup) if warmup else 1.0
        return peak * factor * rising

    return schedule


def is_weight(path: tuple[Any, ...], parameter: jax.Array) -> bool:
    """True if a parameter is a weight, such as a kernel or an embedding, and not a bias or a norm's scale.

    Args:
      path: of the parameter in its tree, with its name last. Names matter because biases of networks mapped over tracks
        have two axes.
      parameter: the array.
    """
    name = str(getattr(path[-1], "key", path[-1]))
    return parameter.ndim > 1 and not name.endswith(("bias", "scale"))


def decoupled_weight_decay(weight_decay: float, learning_rate: optax.Schedule) -> optax.GradientTransformation:
    """Returns a transformation that adds -learning_rate * weight_decay * parameter to the updates of weights.

    As in AdamW (Loshchilov & Hutter 2019); see `is_weight`.
    """

    def init(params):
        del params
        return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        rate = weight_decay * learning_rate(state.count)

        def decayed(path, change, parameter):
            return change - (rate * parameter).astype(change.dtype) if is_weight(path, parameter) else change

        updates = jax.tree_util.tree_map_with_path(decayed, updates, params)
        return updates, optax.ScaleByScheduleState(count=optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)


def _named(name: str, learning_rate: optax.ScalarOrSchedule, field: str) -> optax.GradientTransformation:
    try:
        optimizer = resolve(field, name, OPTIMIZERS)(learning_rate)
    except UserError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ConfigError(field, name, f"{name}({learning_rate}) fails: {first_line(error)}") from error
    if not isinstance(optimizer, optax.GradientTransformation):
        kind = type(optimizer).__name__
        raise ConfigError(field, name, f"must return an optax.GradientTransformation, not {kind}")
    return optimizer


def _check(config: Any) -> None:
    """Raises ConfigError for inconsistent hyperparameters."""
    end = config.decay_steps or config.steps
    if config.schedule in ("linear", "cosine") and config.warmup_steps >= end:
        raise ConfigError("warmup_steps", config.warmup_steps, f"must be fewer than the schedule's {end} updates")
    if config.schedule == "piecewise" and not config.decay_at:
        raise ConfigError("schedule", config.schedule, "needs decay_at")
    devices = jax.device_count() if config.parallel == "pmap" else 1
    if config.batch_size // devices % config.accumulate:
        over_devices = f" over {devices} pmapped devices" if devices > 1 else ""
        reason = f"does not divide a batch of {config.batch_size}{over_devices}"
        raise ConfigError("accumulate", config.accumulate, reason)


def make_optimizer(config: Any, player: str = "") -> optax.GradientTransformation:
    """Returns the optimiser of a config: clipping, then the algorithm with its schedule, then weight decay.

    Args:
      config: a RunConfig and ScheduleConfig with fields {player}optimizer and {player}learning_rate.
      player: prefix of these two: "generator_", "critic_" or "".

    Raises:
      ConfigError: no such optimiser, the function doesn't return one, or the hyperparameters are inconsistent.
    """
    field, peak = f"{player}optimizer", getattr(config, f"{player}learning_rate")
    _check(config)
    schedule = learning_rate_schedule(config, peak, config.steps)
    is_constant = config.schedule == "constant" and not config.warmup_steps
    # A number has no state, unlike a constant schedule: checkpoints of runs without schedules keep their structure.
    chain = [_named(getattr(config, field), peak if is_constant else schedule, field)]
    if config.clip_norm:
        chain.insert(0, optax.clip_by_global_norm(config.clip_norm))
    if config.weight_decay:
        chain.append(decoupled_weight_decay(config.weight_decay, schedule))
    return chain[0] if len(chain) == 1 else optax.chain(*chain)
