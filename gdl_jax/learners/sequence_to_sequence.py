"""Networks from one sequence to another, trained by predicting each token from those before it (book chapter 9)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import apply_eval, one_network
from gdl_jax.losses.sequences import masked_sum, smoothed_cross_entropy, token_cross_entropy

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

    def targets(batch):
        return batch["target"][:, 1:]

    def is_real(batch):
        return targets(batch) != padding

    def terms(logits, batch):
        loss = smoothed_cross_entropy(logits, targets(batch), smoothing)
        return {"loss": loss} | ({"nll": token_cross_entropy(logits, targets(batch))} if smoothing else {})

    init, step = one_network(
        module, optimizer, inputs=inputs, terms=terms, mask=is_real, accumulate=accumulate, axis_name=axis_name
    )

    def evaluate(state, batch, key):
        del key
        logits = apply_eval(module, state.params["network"], {}, *inputs(batch))
        mask = is_real(batch)
        losses = masked_sum(token_cross_entropy(logits, targets(batch)), mask)
        return {"loss": (losses, mask.sum(axis=1).astype(jnp.float32))}

    def sample(state, key, num, source):
        del key, num
        return translate(module, {"params": state.params["network"]}, source)

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=2))
