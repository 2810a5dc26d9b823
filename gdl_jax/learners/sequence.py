"""Autoregressive models of sequences, trained by next-token prediction (book 06_01 and 07_02)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Batch, Learner
from gdl_jax.learners.gradient import apply_eval, one_network
from gdl_jax.losses.classification import cross_entropy
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models.events import Events, Prediction

# (predictions, batch) -> {name: values (B,) or (B, T)}, in nats; "loss" is minimised.
Losses = Callable[[Any, Batch], dict[str, jax.Array]]
# (module, variables, key, context, steps, sampling) -> generated tokens (B, steps)
Generate = Callable[[nn.Module, Any, jax.Array, Any, int, Any], Any]


def token_losses(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Returns the cross-entropy (B, T) of the last T of the batch's "tokens" (B, S), from logits (B, T, V)."""
    return {"loss": token_cross_entropy(logits, batch["tokens"][:, -logits.shape[1] :])}


def event_losses(predicted: Prediction, batch: Batch) -> dict[str, jax.Array]:
    """Returns the cross-entropies (B,) of the last T events, each a mean over T: of note, of duration, and their sum.

    Args:
      predicted: logits of T events.
      batch: "note" and "duration", each (B, S).
    """
    losses = {}
    for name in Events._fields:
        logits = getattr(predicted, name)  # (B, T, vocabulary)
        targets = batch[name][:, -logits.shape[1] :]  # (B, T)
        losses[f"{name}_loss"] = jax.vmap(cross_entropy)(logits, targets).mean(axis=1)
    return {"loss": losses["note_loss"] + losses["duration_loss"], **losses}


def autoregressive(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    streams: Sequence[str],
    losses: Losses,
    generate: Generate,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the mean loss of predicting tokens from those before them.

    A batch has one or more streams of tokens, each (B, S): the network reads all but the last token of each, and
    predicts the last one, or the last few.

    Args:
      module: (a stream (B, S - 1), ..., train) -> predictions.
      optimizer: from `optimizers.make_optimizer`.
      streams: the batch's keys, in the order of the module's inputs.
      losses: of the predictions, for example `token_losses` or `event_losses`.
      generate: samples from the network; called by `sample`.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Metrics: those of `losses`. `evaluate` computes them from the predictions of evaluation mode, one mean per example;
    exp of a mean loss per token is the perplexity.

    `sample(state, key, num, context, steps, sampling)` generates `num` continuations of `steps` tokens, both static.
    The context's streams are (num, C), or (C,), the same for all. One compiled program serves all contexts of a shape
    and all values of `sampling`.
    """

    def inputs(batch):
        return tuple(batch[name][:, :-1] for name in streams)

    init, step = one_network(module, optimizer, inputs=inputs, terms=losses, accumulate=accumulate, axis_name=axis_name)

    def evaluate(state, batch, key):
        del key
        predicted = apply_eval(module, state.params["network"], {}, *inputs(batch))
        return {name: values.reshape(len(values), -1).mean(axis=1) for name, values in losses(predicted, batch).items()}

    def sample(state, key, num, context, steps, sampling):
        context = jax.tree.map(lambda tokens: jnp.broadcast_to(tokens, (num, tokens.shape[-1])), context)
        return generate(module, {"params": state.params["network"]}, key, context, steps, sampling)

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=(2, 4)))
