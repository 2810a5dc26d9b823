"""Generator against critic: GAN, WGAN, WGAN-GP (book chapter 4), and whatever else has an update of each in turn.

The learner is put together from the functions of `adversarial_updates`; a way of training that needs others (a pool of
images, networks that grow, regularisers that are due now and then) is another short learner over the same functions.

Batch normalisation, pass by pass. A critic's update: the images it is shown come from the generator with running
averages (the book's GAN and WGAN, which call `predict`) or, with `batch_statistics`, with those of the batch (its
WGAN-GP, where they are made inside the training graph); either way the generator's averages stay as they are. The
generator's update: its batch's statistics, which go into the averages; the critic is in training mode (dropout on), and
its averages stay. Samples and evaluation: running averages, no dropout.

A moving average of the generator, where there is one, makes the samples; the players, and the losses of `evaluate`, are
the generator that is trained. The average takes the batch-norm averages along, since those of other parameters don't
fit, and starts fast: see `averaging.average_decay`.
"""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import lax

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Batch, Learner, Metrics
from gdl_jax.core.lookup import check_function, resolve
from gdl_jax.core.prng import example_keys
from gdl_jax.learners.adversarial_updates import (
    Penalty,
    Players,
    accuracy,
    critic_update,
    fake_term,
    fakes_for_critic,
    generator_update,
    gradient_term,
    losses_of,
    num_examples,
    real_term,
)
from gdl_jax.learners.averaging import average_decay
from gdl_jax.learners.gradient import TrainState, apply_eval, init_variables
from gdl_jax.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss

__all__ = [
    "AdversarialState",
    "Penalty",
    "adversarial",
    "clip_weights",
    "generate",
    "make_adversarial_loss",
    "noise_inputs",
]


@struct.dataclass
class AdversarialState:
    """Both players, and the number of updates of the generator.

    `averaged` is {"params", "batch_stats"}: the generator's as an exponential moving average; {} without one.
    """

    generator: TrainState
    critic: TrainState
    averaged: Any
    step: jax.Array


def make_adversarial_loss(name: str) -> AdversarialLoss:
    """Returns the loss of that name, or of the form package.module:LOSS.

    Raises:
      ConfigError: there is none of that name, its functions don't take scores (B,) to (B,), or its boundary is no
        number.
    """
    loss = resolve("adversarial_loss", name, ADVERSARIAL_LOSSES)
    if not isinstance(loss, AdversarialLoss):
        wanted = "an AdversarialLoss, as gdl_jax/losses/adversarial.py has them"
        raise ConfigError("adversarial_loss", name, f"must be {wanted}, not {type(loss).__name__}")
    if not isinstance(loss.boundary, numbers.Real | None):
        raise ConfigError("adversarial_loss", name, f"boundary: must be None or a number, not {loss.boundary!r}")
    scores = jax.ShapeDtypeStruct((2,), jnp.float32)
    for part in ("real", "fake", "generator"):
        check_function("adversarial_loss", name, getattr(loss, part), (scores,), (2,), part)
    return loss


def clip_weights(limit: float, biases: bool = True) -> Callable[[Any], Any]:
    """params -> params within [-limit, limit] (Arjovsky et al. 2017, algorithm 1); with or without biases and scales.

    The book clips every weight (04_02).
    """

    def clip(params):
        return jax.tree.map(lambda w: w.clip(-limit, limit) if biases or w.ndim > 1 else w, params)

    return clip


def noise_inputs(z_dim: int, labels: bool = False) -> Callable[[Batch, jax.Array], tuple[jax.Array, ...]]:
    """For generators of N(0, 1) noise (B, z_dim), perhaps with the batch's labels (B,)."""

    def inputs(batch, keys):
        z = jax.vmap(lambda key: jax.random.normal(key, (z_dim,)))(keys)
        return (z, batch["label"]) if labels else (z,)

    return inputs


def generate(generator: nn.Module, state: AdversarialState, *inputs: jax.Array) -> jax.Array:
    """A generator's outputs in evaluation mode, by its moving average where it has one."""
    averaged = state.averaged or {"params": state.generator.params, "batch_stats": state.generator.batch_stats}
    return apply_eval(generator, averaged["params"], averaged["batch_stats"], *inputs)


def adversarial(
    generator: nn.Module,
    critic: nn.Module,
    generator_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    loss: AdversarialLoss,
    *,
    n_critic: int = 1,
    penalty: Penalty | None = None,
    constrain: Callable[[Any], Any] = lambda params: params,
    separate_updates: bool = False,
    batch_statistics: bool = True,
    ema_decay: float = 0.0,
    accumulate: int = 1,
    **seen: Any,
) -> Learner:
    """Makes `n_critic` updates of the critic, each on a batch of its own, then one of the generator.

    Args:
      generator, critic: as in `Players`.
      generator_optimizer, critic_optimizer: from `optimizers.make_optimizer`.
      loss: what both minimise, of every score; a mean over an image's scores, and a sum over a tree's.
      n_critic: critic updates for each of the generator.
      penalty: on the norm of the critic's gradient with respect to the image, or None.
      constrain: applied to the critic's parameters after each of its updates (for example `clip_weights`).
      separate_updates: the critic takes a step on real images and then one on generated ones (the book's GAN and WGAN)
        instead of one on both; a penalty goes with the second, and `constrain` comes after it.
      batch_statistics: of the generator when it makes images for the critic; see above.
      ema_decay: of the generator's moving average; 0: none.
      accumulate: parts of a batch whose gradients are added up; see `gradient.update`.
      **seen: what else `Players` has: inputs, real, and perhaps shown, conditions, generator_terms, axis_name.

    Metrics: "critic_loss" is the sum of "critic_loss_real" and "critic_loss_fake" without the penalty, each a mean over
    the critic's updates; "generator_loss" is without `generator_terms`; accuracies are the shares of scores on their
    side of the loss's boundary; "critic_input_gradient_norm", at the points that are penalised, and "gradient_penalty"
    (unweighted) come with a penalty. A step's batch holds n_critic batches.

    The learner's `sample(state, key, num, batch={})` makes `num` outputs; `batch` holds what `inputs` reads of one.
    """
    players = Players(generator, critic, **seen)
    on_real = (real_term(players, loss),)
    on_fakes = (fake_term(players, loss), *((gradient_term(players, penalty),) if penalty else ()))

    def update_critic(critic_state, generator_state, batch, key):
        fake_key, alpha_key, *_ = drawn = jax.random.split(key, 5)
        fakes = fakes_for_critic(players, generator_state, batch, fake_key, batch_statistics)
        batch = dict(batch) | {"fakes": fakes}
        if penalty and penalty.at == "interpolates":
            batch["alpha"] = jax.vmap(jax.random.uniform)(players.keys_of(batch, alpha_key))
        rest = (critic_optimizer, players.axis_name, accumulate)
        keys = drawn[2 : 3 + len(on_fakes)]
        if separate_updates:
            critic_state, of_real = critic_update(critic_state, on_real, batch, keys[:1], *rest)
            critic_state, of_fake = critic_update(critic_state, on_fakes, batch, keys[1:], *rest)
            norm = 0.5 * (of_real["critic_gradient_norm"] + of_fake["critic_gradient_norm"])
            metrics = of_real | of_fake | {"critic_gradient_norm": norm}
        else:
            critic_state, metrics = critic_update(critic_state, (*on_real, *on_fakes), batch, keys, *rest)
        return critic_state.replace(params=constrain(critic_state.params)), metrics

    def init(key, batch):
        return _initial_state(players, generator_optimizer, critic_optimizer, bool(ema_decay), key, batch)

    def step(state, batch, key):
        critic_key, generator_key = jax.random.split(key)
        # Example e of the loop's batch is in critic update e mod n_critic, so that every device has a share of each.
        batches = jax.tree.map(lambda x: x.reshape(-1, n_critic, *x.shape[1:]).swapaxes(0, 1), dict(batch))

        def body(critic_state, batch_and_key):
            batch, key = batch_and_key
            return update_critic(critic_state, state.generator, batch | {"step": state.step}, key)

        critic_state, history = lax.scan(body, state.critic, (batches, jax.random.split(critic_key, n_critic)))
        last = jax.tree.map(lambda x: x[-1], batches) | {"step": state.step}
        arguments = (state.generator, critic_state, last, generator_key, generator_optimizer, accumulate)
        generator_state, of_generator = generator_update(players, loss, *arguments)
        metrics = _joined_metrics({name: values.mean() for name, values in history.items()}, of_generator)
        averaged = _averaged(state, generator_state, ema_decay) if ema_decay else state.averaged
        return AdversarialState(generator_state, critic_state, averaged, state.step + 1), metrics

    def evaluate(state, batch, key):
        return _evaluate(players, loss, state, dict(batch, step=state.step), key)

    def sample(state, key, num, batch: Mapping[str, Any] | None = None):
        batch = dict(batch or {}, step=state.step)
        return generate(generator, state, *players.inputs(batch, example_keys(key, num)))

    return Learner(init, step, evaluate, sample, batches_per_step=n_critic)


def _initial_state(
    players: Players,
    generator_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    has_average: bool,
    key: jax.Array,
    batch: Batch,
) -> AdversarialState:
    generator_key, critic_key, keys_key = jax.random.split(key, 3)
    batch = dict(batch, step=jnp.zeros((), jnp.int32))
    inputs = players.inputs(batch, example_keys(keys_key, num_examples(batch)))
    params, stats = init_variables(players.generator, generator_key, *inputs)
    shown = players.real(batch), *players.conditions(batch)
    critic_params, critic_stats = init_variables(players.critic, critic_key, *shown)
    return AdversarialState(
        TrainState(params, stats, generator_optimizer.init(params)),
        TrainState(critic_params, critic_stats, critic_optimizer.init(critic_params)),
        jax.tree.map(jnp.array, {"params": params, "batch_stats": stats}) if has_average else {},
        batch["step"],
    )


def _averaged(state: AdversarialState, generator: TrainState, ema_decay: float) -> Any:
    """The moving average after an update of the generator."""
    now = {"params": generator.params, "batch_stats": generator.batch_stats}
    return optax.incremental_update(now, state.averaged, 1.0 - average_decay(ema_decay, state.step))


def _joined_metrics(of_critic: Metrics, of_generator: Metrics) -> Metrics:
    total = of_critic["critic_loss_real"] + of_critic["critic_loss_fake"]
    return {**of_critic, **of_generator, "critic_loss": total}


def _evaluate(
    players: Players, loss: AdversarialLoss, state: AdversarialState, batch: Batch, key: jax.Array
) -> dict[str, jax.Array]:
    """The losses of each example (B,), in evaluation mode."""
    inputs, beside = players.draw_inputs(batch, key), players.conditions(batch)
    outputs = apply_eval(players.generator, state.generator.params, state.generator.batch_stats, *inputs)
    real_scores, fake_scores = (
        apply_eval(players.critic, state.critic.params, state.critic.batch_stats, images, *beside)
        for images in (players.real(batch), players.shown(outputs))
    )
    of_real, of_fake = losses_of(loss.real, real_scores), losses_of(loss.fake, fake_scores)
    return {
        "critic_loss": of_real + of_fake,
        "critic_loss_real": of_real,
        "critic_loss_fake": of_fake,
        "generator_loss": losses_of(loss.generator, fake_scores),
        **players.generator_terms(batch, outputs),
        **accuracy(loss, "real", real_scores),
        **accuracy(loss, "fake", fake_scores),
    }
