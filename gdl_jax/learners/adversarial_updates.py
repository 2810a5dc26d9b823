"""Updates of a generator and of a critic, as functions of which adversarial learners are composed.

Functions choose the networks' inputs (`Players`), so that the same updates serve noise, class labels and images to
translate. Images and scores may be trees of arrays: the two directions of a translation are one generator module and
one critic module with two parts each.

A term is a `gradient.LossFunction` of the critic's parameters; `added` sums several. A lazy regulariser, or a pool of
earlier images in place of `batch["fakes"]`, is another function and changes no update. Terms read from a batch the
arrays that `players.real` and `players.conditions` read, "fakes" (the generated images, or as `players.shown` returns
them), "alpha" (B,) in [0, 1), and "step", the number of the generator's update.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax

from gdl_jax.core.learner import Batch, Metrics
from gdl_jax.core.prng import example_keys
from gdl_jax.learners.gradient import (
    Loss,
    LossFunction,
    TrainState,
    apply_eval,
    apply_train,
    init_variables,
    update,
    update_with_outputs,
)
from gdl_jax.losses.adversarial import AdversarialLoss, example_norm, gradient_penalty, interpolate


class Term(NamedTuple):
    """Term of a generator's loss besides the adversarial loss.

    Attributes:
      values: (B,), logged as they are.
      weight: factor of their mean in the loss.
    """

    values: jax.Array
    weight: float | jax.Array = 1.0


class Players(NamedTuple):
    """Networks of both players, and functions that choose their inputs.

    In every function's batch, batch["step"] is the number of the generator's update, from 0.

    Attributes:
      generator: (*inputs, train) -> outputs, images (B, ...) or a tree of arrays.
      critic: (images, *conditions, train) -> scores (B,) or (B, ...), or a tree of such arrays.
      inputs: (batch, keys (B,)) -> the generator's inputs, with each example's randomness from its own key.
      real: batch -> real images, of the same structure as `shown` returns.
      shown: the generator's outputs -> the images that the critic sees.
      conditions: batch -> further inputs of the critic; by default none.
      generator_terms: (batch, outputs) -> {name: Term}, added to the generator's loss.
      adversarial_weight: factor of the adversarial loss in the generator's loss.
      axis_name: the pmapped axis, or None.
    """

    generator: nn.Module
    critic: nn.Module
    inputs: Callable[[Batch, jax.Array], tuple[Any, ...]]
    real: Callable[[Batch], Any]
    shown: Callable[[Any], Any] = lambda outputs: outputs
    conditions: Callable[[Batch], tuple[Any, ...]] = lambda batch: ()
    generator_terms: Callable[[Batch, Any], Mapping[str, Term]] = lambda batch, outputs: {}
    adversarial_weight: float = 1.0
    axis_name: str | None = None

    def draw_inputs(self, batch: Batch, key: jax.Array) -> tuple[Any, ...]:
        """Returns the generator's inputs for each example of a batch."""
        return self.inputs(batch, self.keys_of(batch, key))

    def keys_of(self, batch: Batch, key: jax.Array) -> jax.Array:
        """Returns one key for each example of a batch, (B,)."""
        return example_keys(key, num_examples(batch), self.axis_name)


class Penalty(NamedTuple):
    """Gradient penalty weight * (|| grad D || - center)^2, at "interpolates" or at "real" images.

    At interpolates of real and generated images, with center 1: WGAN-GP (Gulrajani et al. 2017; the book's weight is
    10). At real images with center 0: R1 (Mescheder et al. 2018), whose gamma is twice the weight.
    """

    weight: float
    center: float = 1.0
    at: str = "interpolates"


def num_examples(batch: Batch) -> int:
    """Returns the number of examples of a batch."""
    return len(next(leaf for name, leaf in batch.items() if name != "step"))


def per_example(values: Any) -> jax.Array:
    """Returns means over all axes but the first, summed over the arrays of a tree: (B, ...) -> (B,)."""
    return sum(leaf.reshape(len(leaf), -1).mean(axis=1) for leaf in jax.tree.leaves(values))


def losses_of(function: Callable[[jax.Array], jax.Array], scores: Any) -> jax.Array:
    """Returns the loss of scores, averaged over an image's scores and summed over a tree's: (B,)."""
    return per_example(jax.tree.map(function, scores))


def accuracy(loss: AdversarialLoss, kind: str, scores: Any) -> dict[str, jax.Array]:
    """Returns {"real_accuracy" or "fake_accuracy": share of scores on the right side (B,)}; {} without a boundary."""
    if loss.boundary is None:
        return {}
    right = [leaf > loss.boundary if kind == "real" else leaf <= loss.boundary for leaf in jax.tree.leaves(scores)]
    return {f"{kind}_accuracy": per_example(jax.tree.map(jnp.float32, right)) / len(right)}


def _means(values: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: value.mean() for name, value in values.items()}


def real_term(players: Players, loss: AdversarialLoss) -> LossFunction:
    """Returns the critic's loss on real images."""

    def term(params, stats, batch, key):
        inputs = players.real(batch), *players.conditions(batch)
        scores, stats = apply_train(players.critic, params, stats, key, *inputs)
        losses = losses_of(loss.real, scores)
        return Loss(losses.mean(), stats, _means({"critic_loss_real": losses} | accuracy(loss, "real", scores)))

    return term


def fake_term(players: Players, loss: AdversarialLoss) -> LossFunction:
    """Returns the critic's loss on batch["fakes"]."""

    def term(params, stats, batch, key):
        inputs = batch["fakes"], *players.conditions(batch)
        scores, stats = apply_train(players.critic, params, stats, key, *inputs)
        losses = losses_of(loss.fake, scores)
        return Loss(losses.mean(), stats, _means({"critic_loss_fake": losses} | accuracy(loss, "fake", scores)))

    return term


def gradient_term(players: Players, penalty: Penalty) -> LossFunction:
    """Returns the penalty on the critic's gradient with respect to the image; its metric is unweighted."""

    def term(params, stats, batch, key):
        points, conditions = players.real(batch), players.conditions(batch)
        if penalty.at == "interpolates":
            points = interpolate(points, batch["fakes"], batch["alpha"])

        def total_score(x):
            scores, _ = apply_train(players.critic, params, stats, key, x, *conditions)
            return per_example(scores).sum()

        norm = example_norm(jax.grad(total_score)(points))
        values = gradient_penalty(norm, penalty.center)
        metrics = _means({"gradient_penalty": values, "critic_input_gradient_norm": norm})
        return Loss(penalty.weight * values.mean(), stats, metrics)

    return term


def added(*terms: LossFunction) -> LossFunction:
    """Returns the sum of terms; term i uses keys[i] and the running statistics returned by term i - 1."""

    def loss(params, stats, batch, keys):
        total: Any = 0.0
        metrics: Metrics = {}
        for term, key in zip(terms, keys, strict=True):
            result = term(params, stats, batch, key)
            total, stats, metrics = total + result.value, result.batch_stats, metrics | result.metrics
        return Loss(total, stats, metrics)

    return loss


def initial_players(
    players: Players,
    generator_optimizer: optax.GradientTransformation,
    critic_optimizer: optax.GradientTransformation,
    key: jax.Array,
    batch: Batch,
) -> tuple[TrainState, TrainState]:
    """Returns the initial states of generator and critic.

    Args:
      players: the networks.
      generator_optimizer, critic_optimizer: their optimisers.
      key: of the initial parameters and of the inputs.
      batch: arrays that the players read, "step" included.
    """
    generator_key, critic_key, keys_key = jax.random.split(key, 3)
    inputs = players.inputs(batch, example_keys(keys_key, num_examples(batch)))
    params, stats = init_variables(players.generator, generator_key, *inputs)
    shown = players.real(batch), *players.conditions(batch)
    critic_params, critic_stats = init_variables(players.critic, critic_key, *shown)
    return (
        TrainState(params, stats, generator_optimizer.init(params)),
        TrainState(critic_params, critic_stats, critic_optimizer.init(critic_params)),
    )


def fakes_for_critic(
    players: Players, generator: TrainState, batch: Batch, key: jax.Array, batch_statistics: bool
) -> Any:
    """Returns generated images for an update of the critic.

    Args:
      players: the networks.
      generator: its state; its running averages don't change.
      batch: arrays that `players.inputs` reads.
      key: for the inputs and for dropout.
      batch_statistics: use the batch's statistics (training mode, with dropout) instead of running averages.
    """
    noise_key, dropout_key = jax.random.split(key)
    inputs = players.draw_inputs(batch, noise_key)
    module, params, stats = players.generator, generator.params, generator.batch_stats
    if not batch_statistics:
        return players.shown(apply_eval(module, params, stats, *inputs))
    return players.shown(apply_train(module, params, stats, dropout_key, *inputs)[0])


def critic_update(
    critic: TrainState,
    terms: tuple[LossFunction, ...],
    batch: Batch,
    keys: jax.Array,
    optimizer: optax.GradientTransformation,
    axis_name: str | None,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics]:
    """Takes one step of the critic down the gradient of a sum of terms.

    Args:
      critic: its state.
      terms: of the loss.
      batch: arrays that the terms read.
      keys: one per term.
      optimizer, axis_name, accumulate: as for `gradient.update`.

    Returns:
      The new state; the terms' metrics and "critic_gradient_norm".
    """
    critic, metrics = update(critic, added(*terms), batch, keys, optimizer, axis_name, accumulate)
    metrics["critic_gradient_norm"] = metrics.pop("gradient_norm")
    del metrics["loss"]  # with separate updates it would be that of real or of generated images only
    return critic, metrics


def generator_loss(players: Players, loss: AdversarialLoss, critic: TrainState) -> LossFunction:
    """Returns the generator's loss against a critic, whose running averages don't change.

    The batch has the generator's inputs (`draw_inputs`) as "inputs". The two keys are for the generator's and for the
    critic's dropout.
    """

    def loss_function(params, stats, batch, keys):
        generator_key, critic_key = keys
        outputs, stats = apply_train(players.generator, params, stats, generator_key, *batch["inputs"])
        shown = players.shown(outputs)
        inputs = shown, *players.conditions(batch)
        if not players.adversarial_weight:
            inputs = lax.stop_gradient(inputs)
        scores, _ = apply_train(players.critic, critic.params, critic.batch_stats, critic_key, *inputs)
        adversarial_loss = losses_of(loss.generator, scores).mean()
        terms = players.generator_terms(batch, outputs)
        total: Any = sum(term.weight * term.values.mean() for term in terms.values())
        if players.adversarial_weight:
            total = players.adversarial_weight * adversarial_loss + total
        means = _means({name: term.values for name, term in terms.items()})
        return Loss(total, stats, {"generator_loss": adversarial_loss} | means, outputs=lax.stop_gradient(shown))

    return loss_function


def generator_update(
    players: Players,
    loss: AdversarialLoss,
    generator: TrainState,
    critic: TrainState,
    batch: Batch,
    key: jax.Array,
    optimizer: optax.GradientTransformation,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics, Any]:
    """Takes one step of the generator against a critic.

    Args:
      players: the networks.
      loss: its `generator`, times `players.adversarial_weight`, is minimised, plus `players.generator_terms`.
      generator, critic: their states; the critic's doesn't change.
      batch: arrays that the players read.
      key: for the inputs and for dropout.
      optimizer, accumulate: as for `gradient.update`.

    Returns:
      The new state; "generator_loss" (the adversarial loss) and the terms, without weights; "generator_gradient_norm";
      and the images that the critic saw, generated before the step.
    """
    noise_key, *_ = keys = jax.random.split(key, 3)
    with_inputs: dict[str, Any] = {**batch, "inputs": players.draw_inputs(batch, noise_key)}
    loss_function = generator_loss(players, loss, critic)
    rest = keys[1:], optimizer, players.axis_name, accumulate
    generator, metrics, fakes = update_with_outputs(generator, loss_function, with_inputs, *rest)
    del metrics["loss"]
    metrics["generator_gradient_norm"] = metrics.pop("gradient_norm")
    return generator, metrics, fakes
