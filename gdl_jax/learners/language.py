"""Learning a language: what comes next, given what came before (book 06_01)."""

import jax
import jax.numpy as jnp
import optax

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models.text_rnn import TextRNN, write_on


def language_model(
    module: TextRNN,
    optimizer: optax.GradientTransformation,
    *,
    unknown: int,
    separator: int,
    reread: bool = False,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the cross-entropy of the last token of a window or, where the network tells it, of each but the first.

    Args:
      module: the network.
      optimizer: from `optimizers.make_optimizer`.
      unknown: the token that is never written.
      separator: the token between two texts, which begins none.
      reread: how text is written; see `models.text_rnn.write_on`.
      accumulate: parts of a batch whose gradients are added up; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    A batch has "tokens" (B, C + 1). Metrics: loss, in nats a token. `evaluate`'s is that of the last token given the C
    before it, whatever was trained; exp of its mean is the perplexity.

    `sample(state, key, num, context, steps, sampling)` writes `num` texts of `steps` tokens, both static, after the
    context (num, C), or (C,), the same for all. One compiled program serves all contexts and all values of `sampling`.
    """

    def losses(logits, tokens):
        return token_cross_entropy(logits, tokens[:, -logits.shape[1] :])  # (B, 1) or (B, C)

    def init(key, batch):
        params, _ = init_variables(module, key, batch["tokens"][:, :-1])
        params = {"network": params}
        return TrainState(params, {}, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        logits, _ = apply_train(module, params["network"], batch_stats, key, batch["tokens"][:, :-1])
        return Loss(losses(logits, batch["tokens"]).mean(), {}, {})

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        del key
        logits = apply_eval(module, state.params["network"], {}, batch["tokens"][:, :-1])
        return {"loss": losses(logits, batch["tokens"])[:, 0]}

    def sample(state, key, num, context, steps, sampling):
        context = jnp.broadcast_to(context, (num, context.shape[-1]))
        variables = {"params": state.params["network"]}
        return write_on(
            module, variables, key, context, steps, sampling, never=unknown, separator=separator, reread=reread
        )

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=(2, 4)))
