"""Fine-tuning of BERT to find answers in passages (Devlin et al. 2019, section 4.2)."""

import jax
import jax.numpy as jnp
import optax

from gdl_jax.core.learner import Batch, Learner
from gdl_jax.learners.gradient import apply_eval, one_network
from gdl_jax.losses.sequences import token_cross_entropy
from gdl_jax.models.bert_heads import AnswerFinder, inputs_of

IMPOSSIBLE = -1e9  # logit of a token that cannot begin or end an answer


def possible(batch: Batch) -> jax.Array:
    """Returns (B, T) bool: True at the passage's tokens, and at [CLS], the target where there is no answer."""
    place = jnp.arange(batch["tokens"].shape[1])
    first, separator = batch["first"][:, None], batch["length"][:, None] - 1
    return (place == 0) | ((place >= first) & (place < separator))


def answer_finder(
    module: AnswerFinder, optimizer: optax.GradientTransformation, *, accumulate: int = 1, axis_name: str | None = None
) -> Learner:
    """Minimises the mean of the cross-entropies of the answer's first and of its last token.

    Each is over the tokens of the passage and [CLS].

    Args:
      module: the network.
      optimizer: from `optimizers.make_optimizer`.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Batches are those of `data.text.answer_spans.AnswerData`. Metrics: loss, in nats, and accuracy, the share of windows
    in which the likeliest first and last token are both right.

    `sample(state, key, num, batch)` returns the logits (num, 2, T) of the first and the last token; it ignores the key.
    """

    def terms(logits, batch):
        logits = jnp.where(possible(batch)[:, None], logits, IMPOSSIBLE)
        targets = jnp.stack([batch["start"], batch["end"]], axis=1)
        right = (logits.argmax(axis=-1) == targets).all(axis=1)
        loss = token_cross_entropy(logits, targets).mean(axis=1)
        return {"loss": loss, "accuracy": right.astype(jnp.float32)}

    init, step = one_network(
        module, optimizer, inputs=inputs_of, terms=terms, accumulate=accumulate, axis_name=axis_name
    )

    def evaluate(state, batch, key):
        del key
        return terms(apply_eval(module, state.params["network"], {}, *inputs_of(batch)), batch)

    def sample(state, key, num, batch):
        del key, num
        return apply_eval(module, state.params["network"], {}, *inputs_of(batch))

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=2))
