"""Supervised training of one network with one loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.learner import Batch, Learner
from gdl_jax.core.lookup import resolve_function
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.classification import (
    CLASSIFICATION_LOSSES,
    accuracy,
    attribute_accuracy,
    binary_cross_entropy,
    cross_entropy,
)

PerExample = Callable[[jax.Array, jax.Array], jax.Array]  # (outputs (B, K), targets (B, ...)) -> (B,)
Inputs = Callable[[Batch], tuple[Any, ...]]  # batch -> the module's inputs


def make_classification_loss(name: str) -> PerExample:
    """Returns the loss of that name or package.module:function, (logits (B, K), labels (B,)) -> (B,).

    Raises:
      UserError: no function has that name, or it is not such a function.
    """
    logits, labels = jax.ShapeDtypeStruct((2, 3), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
    return resolve_function("loss", name, CLASSIFICATION_LOSSES, (logits, labels), (2,))


def image_of(batch: Batch) -> tuple[jax.Array]:
    """Returns the only input of a network for images."""
    return (batch["image"],)


def supervised(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    target: str,
    loss: PerExample,
    score: PerExample,
    inputs: Inputs = image_of,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the mean of loss(module(*inputs), batch[target]).

    Args:
      module: (*inputs, train) -> outputs (B, K).
      optimizer: from `optimizers.make_optimizer`.
      target: key of the targets in the batch.
      loss: per example, to minimise.
      score: per example, logged as "accuracy".
      inputs: of the module; images (B, H, W, C) by default.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.
    """

    def init(key, batch):
        if target not in batch:
            raise ConfigError("dataset", None, f"has no {target!r} for the classifier to train on")
        params, batch_stats = init_variables(module, key, *inputs(batch))
        return TrainState(params, batch_stats, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        outputs, batch_stats = apply_train(module, params, batch_stats, key, *inputs(batch))
        scores = score(outputs, batch[target])
        return Loss(loss(outputs, batch[target]).mean(), batch_stats, {"accuracy": scores.mean()})

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        del key
        outputs = apply_eval(module, state.params, state.batch_stats, *inputs(batch))
        return {"loss": loss(outputs, batch[target]), "accuracy": score(outputs, batch[target])}

    def sample(state, key, num):
        raise UserError("classifiers don't generate samples")

    return Learner(init, step, evaluate, sample)


def classifier(
    module: nn.Module, optimizer: optax.GradientTransformation, *, loss: PerExample = cross_entropy, **options: Any
) -> Learner:
    """Trains logits of K classes on the target "label"; options as in `supervised`."""
    return supervised(module, optimizer, target="label", loss=loss, score=accuracy, **options)


def attribute_classifier(module: nn.Module, optimizer: optax.GradientTransformation, **options: Any) -> Learner:
    """Trains logits of A binary attributes on the target "attributes" (0 or 1); options as in `supervised`."""
    losses: dict[str, Any] = {"loss": binary_cross_entropy, "score": attribute_accuracy}
    return supervised(module, optimizer, target="attributes", **losses, **options)
