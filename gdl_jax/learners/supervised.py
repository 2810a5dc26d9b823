"""Learning from labels: one network, one loss."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Learner
from gdl_jax.core.lookup import resolve_function
from gdl_jax.learners.gradient import TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.classification import (
    CLASSIFICATION_LOSSES,
    accuracy,
    attribute_accuracy,
    binary_cross_entropy,
    cross_entropy,
)

PerExample = Callable[[jax.Array, jax.Array], jax.Array]  # (outputs (B, K), targets (B, ...)) -> (B,)


def make_classification_loss(name: str) -> PerExample:
    """The function (logits (B, K), labels (B,)) -> (B,) that --loss names.

    Raises:
      UserError: there is none of that name, or it is not such a function.
    """
    logits, labels = jax.ShapeDtypeStruct((2, 3), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
    return resolve_function("loss", name, CLASSIFICATION_LOSSES, (logits, labels), (2,))


def supervised(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    target: str,
    loss: PerExample,
    score: PerExample,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the mean of loss(module(image), batch[target]).

    Args:
      module: (images (B, H, W, C), train) -> outputs (B, K).
      optimizer: from `optimizers.make_optimizer`.
      target: the batch's key with what is to be predicted.
      loss: per example; what is minimised.
      score: per example; logged as "accuracy".
      axis_name: the pmapped axis, or None.
    """

    def init(key, batch):
        if target not in batch:
            raise UserError(f"--dataset: a classifier needs {target!r} of each example, and this set has none")
        params, batch_stats = init_variables(module, key, batch["image"])
        return TrainState(params, batch_stats, optimizer.init(params))

    def step(state, batch, key):
        def loss_function(params):
            outputs, batch_stats = apply_train(module, params, state.batch_stats, key, batch["image"])
            scores = score(outputs, batch[target])
            return loss(outputs, batch[target]).mean(), (batch_stats, {"accuracy": scores.mean()})

        return update(state, loss_function, optimizer, axis_name)

    def evaluate(state, batch, key):
        del key
        outputs = apply_eval(module, state.params, state.batch_stats, batch["image"])
        return {"loss": loss(outputs, batch[target]), "accuracy": score(outputs, batch[target])}

    def sample(state, key, num):
        raise UserError("a classifier has nothing to sample")

    return Learner(init, step, evaluate, sample)


def classifier(module, optimizer, *, loss: PerExample = cross_entropy, axis_name: str | None = None) -> Learner:
    """One of K classes: outputs are logits, "label" is the target."""
    return supervised(module, optimizer, target="label", loss=loss, score=accuracy, axis_name=axis_name)


def attribute_classifier(module, optimizer, *, axis_name: str | None = None) -> Learner:
    """Any of A attributes: outputs are logits, "attributes" (0 or 1) are the target."""
    return supervised(
        module,
        optimizer,
        target="attributes",
        loss=binary_cross_entropy,
        score=attribute_accuracy,
        axis_name=axis_name,
    )
