"""How networks that write music learn and write: by what comes next (book 07_02)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.classification import cross_entropy
from gdl_jax.models.events import Events, Passage, Temperatures

Write = Callable[[nn.Module, Any, jax.Array, Events, int, Temperatures], Passage]


def composer(
    module: nn.Module,
    write: Write,
    optimizer: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the cross-entropies of note and duration, added up, as means over the events that are predicted.

    A batch has rows "note" and "duration" of S events, each (B, S): the network is given all but the last, and tells
    the last one, or the last few.

    Args:
      module: (note, duration, each (B, S - 1), train) -> `models.events.Prediction`.
      write: (module, variables, key, context, steps, temperatures) -> `models.events.Passage`.
      optimizer: from `optimizers.make_optimizer`.
      accumulate: parts of a batch whose gradients are added up; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Metrics: loss, note_loss, duration_loss, in nats an event.

    `sample(state, key, num, context, steps, temperatures)` writes `num` passages of `steps` events, both static, after
    the context: Events (num, C), or (C,), the same for all. One compiled program serves all temperatures.
    """

    def terms(predicted, batch):
        losses = {}
        for name in Events._fields:
            logits = getattr(predicted, name)  # (B, T, vocabulary)
            targets = batch[name][:, -logits.shape[1] :]  # (B, T)
            losses[f"{name}_loss"] = jax.vmap(cross_entropy)(logits, targets).mean(axis=1)
        return {"loss": losses["note_loss"] + losses["duration_loss"], **losses}  # each (B,)

    def given(batch):
        return tuple(batch[name][:, :-1] for name in Events._fields)

    def init(key, batch):
        params, _ = init_variables(module, key, *given(batch))
        params = {"network": params}
        return TrainState(params, {}, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        predicted, _ = apply_train(module, params["network"], batch_stats, key, *given(batch))
        metrics = {name: values.mean() for name, values in terms(predicted, batch).items()}
        return Loss(metrics.pop("loss"), {}, metrics)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        del key
        return terms(apply_eval(module, state.params["network"], {}, *given(batch)), batch)

    def sample(state, key, num, context, steps, temperatures):
        context = jax.tree.map(lambda tokens: jnp.broadcast_to(tokens, (num, tokens.shape[-1])), context)
        return write(module, {"params": state.params["network"]}, key, context, steps, temperatures)

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=(2, 4)))
