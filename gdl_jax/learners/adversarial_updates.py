"""The updates of a generator and of a critic, as functions from which adversarial learners are put together.

What the networks see is decided by functions too (`Players`), so that the same updates serve noise, class labels and
images to be translated. Images and scores may be trees of arrays: two directions of a translation are one generator
module and one critic module of two parts each.

A term is a `gradient.LossFunction` of the critic's parameters; `added` makes one of several. So a regulariser that is
due now and then, or a pool of earlier images in place of `batch["fakes"]`, is another function, and no update changes.
Terms read of a batch what `players.real` and `players.conditions` read, "fakes" (what the critic is shown of the
generator's outputs), "alpha" (B,) in [0, 1) and "step", the number of the generator's update.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Batch, Metrics
from gdl_jax.core.prng import example_keys
from gdl_jax.learners.gradient import Loss, LossFunction, TrainState, apply_eval, apply_train, update
from gdl_jax.losses.adversarial import AdversarialLoss, example_norm, gradient_penalty, interpolate


class Players(NamedTuple):
    """The two networks, and what each of them sees. To all functions, batch["step"] is the generator's update, from 0.

    Attributes:
      generator: (*inputs, train) -> outputs, images (B, ...) or a tree of arrays.
      critic: (images, *conditions, train) -> scores (B,) or (B, ...), or a tree of such arrays.
      inputs: (batch, keys (B,)) -> the generator's inputs; what it draws, it draws from each example's key.
      real: batch -> images, like what is shown of the generator's.
      shown: the generator's outputs -> what of them the critic sees.
      conditions: batch -> what the critic gets beside an image; by default nothing.
      generator_terms: (batch, outputs) -> {name: values (B,), weighted}, added to the generator's loss, and logged.
      axis_name: the pmapped axis, or None.
    """

    generator: nn.Module
    critic: nn.Module
    inputs: Callable[[Batch, jax.Array], tuple[Any, ...]]
    real: Callable[[Batch], Any]
    shown: Callable[[Any], Any] = lambda outputs: outputs
    conditions: Callable[[Batch], tuple[Any, ...]] = lambda batch: ()
    generator_terms: Callable[[Batch, Any], Mapping[str, jax.Array]] = lambda batch, outputs: {}
    axis_name: str | None = None

    def draw_inputs(self, batch: Batch, key: jax.Array) -> tuple[Any, ...]:
        """Returns the generator's inputs for each example of a batch."""
        return self.inputs(batch, self.keys_of(batch, key))

    def keys_of(self, batch: Batch, key: jax.Array) -> jax.Array:
        """Returns one key for each example of a batch, (B,)."""
        return example_keys(key, num_examples(batch), self.axis_name)


class Penalty(NamedTuple):
    """weight * (|| grad D || - center)^2, at points between real and generated images, or at real ones only.

    Between them with center 1: WGAN-GP (Gulrajani et al. 2017; the book's weight is 10). At real images with center 0:
    R1 (Mescheder et al. 2018), whose gamma is twice the weight.
    """

    weight: float
    center: float = 1.0
    at: str = "interpolates"


def num_examples(batch: Batch) -> int:
    """Returns how many examples a batch has."""
    return len(next(leaf for name, leaf in batch.items() if name != "step"))


def per_example(values: Any) -> jax.Array:
    """Returns means over all axes but the first, added up over the arrays of a tree: (B, ...) -> (B,)."""
    return sum(leaf.reshape(len(leaf), -1).mean(axis=1) for leaf in jax.tree.leaves(values))


def losses_of(function: Callable[[jax.Array], jax.Array], scores: Any) -> jax.Array:
    """Returns a loss of scores, a mean over an image's and a sum over a tree's: (B,)."""
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
    """Returns the critic's loss of real images."""

    def term(params, stats, batch, key):
        inputs = players.real(batch), *players.conditions(batch)
        scores, stats = apply_train(players.critic, params, stats, key, *inputs)
        losses = losses_of(loss.real, scores)
        return Loss(losses.mean(), stats, _means({"critic_loss_real": losses} | accuracy(loss, "real", scores)))

    return term


def fake_term(players: Players, loss: AdversarialLoss) -> LossFunction:
    """Returns the critic's loss of batch["fakes"]."""

    def term(params, stats, batch, key):
        inputs = batch["fakes"], *players.conditions(batch)
        scores, stats = apply_train(players.critic, params, stats, key, *inputs)
        losses = losses_of(loss.fake, scores)
        return Loss(losses.mean(), stats, _means({"critic_loss_fake": losses} | accuracy(loss, "fake", scores)))

    return term


def gradient_term(players: Players, penalty: Penalty) -> LossFunction:
    """Returns the penalty on the critic's gradient with respect to the image; the metric is not weighted."""

    def term(params, stats, batch, key):
        points, beside = players.real(batch), players.conditions(batch)
        if penalty.at == "interpolates":
            points = interpolate(points, batch["fakes"], batch["alpha"])

        def total_score(x):
            scores, _ = apply_train(players.critic, params, stats, key, x, *beside)
            return per_example(scores).sum()

        norm = example_norm(jax.grad(total_score)(points))
        penalised = gradient_penalty(norm, penalty.center)
        metrics = _means({"gradient_penalty": penalised, "critic_input_gradient_norm": norm})
        return Loss(penalty.weight * penalised.mean(), stats, metrics)

    return term


def added(*terms: LossFunction) -> LossFunction:
    """Returns the sum of terms; the key of term i is keys[i], and running statistics go from one to the next."""

    def loss(params, stats, batch, keys):
        total, metrics = 0.0, {}
        for term, key in zip(terms, keys, strict=True):
            found = term(params, stats, batch, key)
            total, stats, metrics = total + found.value, found.batch_stats, metrics | found.metrics
        return Loss(total, stats, metrics)

    return loss


def fakes_for_critic(
    players: Players, generator: TrainState, batch: Batch, key: jax.Array, batch_statistics: bool
) -> Any:
    """Returns what the critic is shown of a generator's outputs.

    Args:
      players: the networks.
      generator: its state; running averages stay as they are.
      batch: one with whatever `players.inputs` reads.
      key: for the inputs and for dropout.
      batch_statistics: whether outputs are normalised by their batch's statistics (training mode, with dropout), not by
        running averages.
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
    """Takes one step of the critic down the sum of some terms.

    Args:
      critic: its state.
      terms: what is minimised.
      batch: what they read.
      keys: one for each term.
      optimizer, axis_name, accumulate: as for `gradient.update`.

    Returns:
      The new state; the terms' metrics and "critic_gradient_norm".
    """
    critic, metrics = update(critic, added(*terms), batch, keys, optimizer, axis_name, accumulate)
    metrics["critic_gradient_norm"] = metrics.pop("gradient_norm")
    del metrics["loss"]  # of a part only, where real and generated images have updates of their own
    return critic, metrics


def generator_loss(players: Players, loss: AdversarialLoss, critic: TrainState) -> LossFunction:
    """Returns the generator's loss against a critic, whose averages stay; of a batch with "inputs" (`draw_inputs`).

    Its keys are two: for the generator's dropout, and for the critic's.
    """

    def loss_function(params, stats, batch, keys):
        generator_key, critic_key = keys
        outputs, stats = apply_train(players.generator, params, stats, generator_key, *batch["inputs"])
        inputs = players.shown(outputs), *players.conditions(batch)
        scores, _ = apply_train(players.critic, critic.params, critic.batch_stats, critic_key, *inputs)
        fooling = losses_of(loss.generator, scores).mean()
        terms = _means(players.generator_terms(batch, outputs))
        return Loss(fooling + sum(terms.values()), stats, {"generator_loss": fooling} | terms)

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
) -> tuple[TrainState, Metrics]:
    """Takes one step of the generator against a critic.

    Args:
      players: the networks.
      loss: its part for the generator is minimised, with `players.generator_terms`.
      generator, critic: their states; the critic's stays.
      batch: one with whatever the players read.
      key: for the inputs and for dropout.
      optimizer, accumulate: as for `gradient.update`.

    Returns:
      The new state; "generator_loss" (without the terms), the terms, and "generator_gradient_norm".
    """
    noise_key, *_ = keys = jax.random.split(key, 3)
    batch = dict(batch) | {"inputs": players.draw_inputs(batch, noise_key)}
    loss_function, keys = generator_loss(players, loss, critic), keys[1:]
    generator, metrics = update(generator, loss_function, batch, keys, optimizer, players.axis_name, accumulate)
    del metrics["loss"]
    metrics["generator_gradient_norm"] = metrics.pop("gradient_norm")
    return generator, metrics
