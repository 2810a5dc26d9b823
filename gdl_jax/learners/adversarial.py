"""Adversarial training of a generator and a critic in turn: GAN, WGAN, WGAN-GP (book chapter 4) and others.

The learner is composed of the functions of `adversarial_updates`; methods with other updates (an image pool, growing
networks, lazy regularisers) are other short learners over the same functions.

Batch normalisation. In a critic's update, generated images are normalised with running averages (the book's GAN and
WGAN, which call `predict`) or, with `batch_statistics`, with the batch's statistics (the book's WGAN-GP); in both cases
the generator's running averages don't change. The generator's update uses the batch's statistics and updates its
running averages; the critic is in training mode (dropout on), but its running averages don't change. Samples and
evaluation use running averages, without dropout.

With `ema_decay`, samples come from a moving average of the generator; training, and the losses of `evaluate`, use the
trained generator. Batch-norm running averages are averaged too, because they must fit the parameters. The average
starts fast: see `averaging.average_decay`.
"""

import numbers
from collections.abc import Callable
from functools import partial
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
    initial_players,
    losses_of,
    real_term,
)
from gdl_jax.learners.averaging import initial_average, updated_average
from gdl_jax.learners.gradient import TrainState, apply_eval
from gdl_jax.learners.optimizers import is_weight
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
    """State of both players.

    Attributes:
      generator, critic: their training states.
      averaged: exponential moving average of the generator's {"params", "batch_stats"}; {} without one.
      step: (), number of generator updates.
    """

    generator: TrainState
    critic: TrainState
    averaged: Any
    step: jax.Array


def make_adversarial_loss(name: str) -> AdversarialLoss:
    """Returns the loss of that name, or the one at package.module:LOSS.

    Raises:
      ConfigError: no loss has that name, its functions don't map scores (B,) to (B,), or its boundary is not a number.
    """
    loss = resolve("adversarial_loss", name, ADVERSARIAL_LOSSES)
    if not isinstance(loss, AdversarialLoss):
        expected = "an AdversarialLoss (see gdl_jax/losses/adversarial.py)"
        raise ConfigError("adversarial_loss", name, f"must be {expected}, not {type(loss).__name__}")
    if not isinstance(loss.boundary, numbers.Real | None):
        raise ConfigError("adversarial_loss", name, f"boundary must be None or a number, not {loss.boundary!r}")
    scores = jax.ShapeDtypeStruct((2,), jnp.float32)
    for part in ("real", "fake", "generator"):
        check_function("adversarial_loss", name, getattr(loss, part), (scores,), (2,), part)
    return loss


def clip_weights(limit: float, biases: bool = True) -> Callable[[Any], Any]:
    """Returns a function that clips parameters to [-limit, limit] (Arjovsky et al. 2017, algorithm 1).

    Args:
      limit: above 0.
      biases: clip biases and norms' scales too, as the book does (04_02).
    """

    def clipped(path, parameter):
        return parameter.clip(-limit, limit) if biases or is_weight(path, parameter) else parameter

    return partial(jax.tree_util.tree_map_with_path, clipped)


def noise_inputs(z_dim: int, labels: bool = False) -> Callable[[Batch, jax.Array], tuple[jax.Array, ...]]:
    """Returns `Players.inputs` for noise N(0, 1) (B, z_dim) and, with `labels`, the batch's labels (B,)."""

    def inputs(batch, keys):
        z = jax.vmap(lambda key: jax.random.normal(key, (z_dim,)))(keys)
        return (z, batch["label"]) if labels else (z,)

    return inputs


def generator_variables(state: Any) -> dict[str, Any]:
    """Returns the {"params", "batch_stats"} that samples are drawn with: the moving average, if there is one.

    Args:
      state: has the fields `generator` and `averaged`, as AdversarialState.
    """
    return state.averaged or {"params": state.generator.params, "batch_stats": state.generator.batch_stats}


def generate(generator: nn.Module, state: Any, *inputs: Any) -> Any:
    """Returns a generator's outputs in evaluation mode, using its moving average if there is one."""
    variables = generator_variables(state)
    return apply_eval(generator, variables["params"], variables["batch_stats"], *inputs)


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
    **options: Any,
) -> Learner:
    """Trains the critic for `n_critic` updates, each on a batch of its own, then the generator for one.

    Args:
      generator, critic: as in `Players`.
      generator_optimizer, critic_optimizer: from `optimizers.make_optimizer`.
      loss: of each score; averaged over an image's scores and summed over a tree's.
      n_critic: critic updates per generator update.
      penalty: on the norm of the critic's gradient with respect to the image, or None.
      constrain: applied to the critic's parameters after each of its updates (for example `clip_weights`).
      separate_updates: one critic step on real images, then one on generated images (the book's GAN and WGAN), instead
        of one on both; the second includes the penalty and is followed by `constrain`.
      batch_statistics: normalise the critic's generated images with their batch's statistics; see above.
      ema_decay: of the generator's moving average; 0: none.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      **options: other fields of `Players`: inputs, real, and optionally shown, conditions, generator_terms, axis_name.

    Metrics: "critic_loss" is the sum of "critic_loss_real" and "critic_loss_fake" without the penalty, each a mean over
    the critic's updates; "generator_loss" is the adversarial loss without its weight; accuracies are shares of scores
    on the right side of the boundary; with a penalty, "critic_input_gradient_norm" at its points and the unweighted
    "gradient_penalty". A step's batch holds n_critic batches.

    The learner's `sample(state, key, num, batch={})` generates `num` outputs; `batch` has the arrays that `inputs`
    reads.
    """
    players = Players(generator, critic, **options)
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
        # Example e of the batch goes to critic update e mod n_critic, so that every device has a share of each update.
        batches = jax.tree.map(lambda x: x.reshape(-1, n_critic, *x.shape[1:]).swapaxes(0, 1), dict(batch))

        def body(critic_state, batch_and_key):
            batch, key = batch_and_key
            return update_critic(critic_state, state.generator, batch | {"step": state.step}, key)

        critic_state, history = lax.scan(body, state.critic, (batches, jax.random.split(critic_key, n_critic)))
        last = jax.tree.map(lambda x: x[-1], batches) | {"step": state.step}
        arguments = (state.generator, critic_state, last, generator_key, generator_optimizer, accumulate)
        generator_state, of_generator, _ = generator_update(players, loss, *arguments)
        metrics = _joined_metrics({name: values.mean() for name, values in history.items()}, of_generator)
        averaged = state.averaged
        if ema_decay:
            averaged = updated_average(averaged, generator_state, ema_decay, state.step)
        return AdversarialState(generator_state, critic_state, averaged, state.step + 1), metrics

    def evaluate(state, batch, key):
        return _evaluate(players, loss, state, dict(batch, step=state.step), key)

    def sample(state, key, num, batch=None):
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
    batch = dict(batch, step=jnp.zeros((), jnp.int32))
    generator, critic = initial_players(players, generator_optimizer, critic_optimizer, key, batch)
    return AdversarialState(generator, critic, initial_average(generator) if has_average else {}, batch["step"])


def _joined_metrics(of_critic: Metrics, of_generator: Metrics) -> Metrics:
    total = of_critic["critic_loss_real"] + of_critic["critic_loss_fake"]
    return {**of_critic, **of_generator, "critic_loss": total}


def _evaluate(
    players: Players, loss: AdversarialLoss, state: AdversarialState, batch: Batch, key: jax.Array
) -> dict[str, jax.Array]:
    """Returns the losses of each example (B,), in evaluation mode."""
    inputs, conditions = players.draw_inputs(batch, key), players.conditions(batch)
    outputs = apply_eval(players.generator, state.generator.params, state.generator.batch_stats, *inputs)
    real_scores, fake_scores = (
        apply_eval(players.critic, state.critic.params, state.critic.batch_stats, images, *conditions)
        for images in (players.real(batch), players.shown(outputs))
    )
    of_real, of_fake = losses_of(loss.real, real_scores), losses_of(loss.fake, fake_scores)
    return {
        "critic_loss": of_real + of_fake,
        "critic_loss_real": of_real,
        "critic_loss_fake": of_fake,
        "generator_loss": losses_of(loss.generator, fake_scores),
        **{name: term.values for name, term in players.generator_terms(batch, outputs).items()},
        **accuracy(loss, "real", real_scores),
        **accuracy(loss, "fake", fake_scores),
    }
