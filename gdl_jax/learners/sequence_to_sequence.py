"""Networks from one sequence to another, trained by predicting each token from those before it (book chapter 9)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.sequences import smoothed_cross_entropy, token_cross_entropy

# (module, variables, source (B, S)) -> translations
Translate = Callable[[nn.Module, Any, jax.Array], Any]


def sequence_to_sequence(
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    translate: Translate,
    smoothing: float = 0.0,
    padding: int = 0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the cross-entropy of the target's tokens, each given the source and the tokens before it.

    The loss is a mean over all real tokens of the batch, however it is split into parts or over devices.

    Args:
      module: (source (B, S), target (B, T), train) -> logits (B, T, V).
      optimizer: from `optimizers.make_optimizer`.
      translate: makes the translations; called by `sample`.
      smoothing: of the labels, in training.
      padding: id of padding, which is not predicted.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Batches have "source" (B, S) and "target" (B, T + 1), with its start. Metrics: loss; in training with smoothing, and
    nll without. `evaluate` returns the loss without smoothing, in nats per token.

    `sample(state, key, num, source)` returns the translations of `num` sentences; it ignores the key.
    """

    def inputs(batch):
        return batch["source"], batch["target"][:, :-1]

    def labels(batch):
        targets = batch["target"][:, 1:]
        return targets, targets != padding

    def init(key, batch):
        params, _ = init_variables(module, key, *inputs(batch))
        params = {"network": params}
        return TrainState(params, {}, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        logits, _ = apply_train(module, params["network"], batch_stats, key, *inputs(batch))
        targets, mask = labels(batch)
        count = mask.sum().astype(jnp.float32)

        def mean(values):
            return jnp.where(mask, values, 0.0).sum() / jnp.maximum(count, 1.0)

        loss = mean(smoothed_cross_entropy(logits, targets, smoothing))
        metrics = {"nll": mean(token_cross_entropy(logits, targets))} if smoothing else {}
        return Loss(loss, {}, metrics, weight=count)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        del key
        logits = apply_eval(module, state.params["network"], {}, *inputs(batch))
        targets, mask = labels(batch)
        losses = jnp.where(mask, token_cross_entropy(logits, targets), 0.0).sum(axis=1)
        return {"loss": (losses, mask.sum(axis=1).astype(jnp.float32))}

    def sample(state, key, num, source):
        del key, num
        return translate(module, {"params": state.params["network"]}, source)

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=2))
