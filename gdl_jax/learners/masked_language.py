"""Pre-training of BERT: masked words, and whether a passage follows another (Devlin et al. 2019; book chapter 9)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gdl_jax.core.learner import Batch, Learner, Metrics
from gdl_jax.learners.gradient import apply_eval, one_network
from gdl_jax.losses.classification import accuracy, cross_entropy
from gdl_jax.losses.sequences import masked_sum, token_cross_entropy
from gdl_jax.models.bert import Prediction, Pretraining

INPUTS = ("tokens", "segments", "mask", "positions")
SHARE = "share"  # each prediction's weight in its example's mean, (B, P); added to a batch by `step`


def masked_language(
    module: Pretraining, optimizer: optax.GradientTransformation, *, accumulate: int = 1, axis_name: str | None = None
) -> Learner:
    """Minimises the cross-entropy of masked words plus that of the next sentence.

    The first is a mean over all predictions of the batch, the second over its examples, however the batch is split into
    parts or over devices.

    Args:
      module: the network.
      optimizer: from `optimizers.make_optimizer`.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Batches are those of `data.text.masking.make_examples` with `bert_rows.features`. Metrics: loss, word_loss,
    word_accuracy, next_loss and next_accuracy; losses in nats. `evaluate` returns the same, where those of words have
    the number of predictions as weights; "loss" has so, too, and is word_loss + next_loss if all examples have equally
    many.

    `sample(state, key, num, batch)` returns the probabilities (num, P, V) of the tokens at the batch's "positions"; it
    ignores the key.
    """

    def inputs(batch: Batch) -> tuple[Any, ...]:
        return tuple(batch[name] for name in INPUTS)

    def terms(predicted, batch):
        words = {
            name: masked_sum(batch[SHARE] * values, _chosen(batch))
            for name, values in _of_words(predicted, batch).items()
        }
        following = _of_next(predicted, batch)
        return {"loss": words["word_loss"] + following["next_loss"], **words, **following}  # each (B,)

    init, update = one_network(
        module, optimizer, inputs=inputs, terms=terms, accumulate=accumulate, axis_name=axis_name
    )

    def step(state, batch, key):
        mean = batch["weights"].sum(axis=1).mean()  # predictions of an example
        mean = mean if axis_name is None else lax.pmean(mean, axis_name)
        return update(state, {**batch, SHARE: batch["weights"] / mean}, key)

    def evaluate(state, batch, key):
        del key
        predicted = apply_eval(module, state.params["network"], {}, *inputs(batch))
        count = batch["weights"].sum(axis=1)
        sums = {name: masked_sum(values, _chosen(batch)) for name, values in _of_words(predicted, batch).items()}
        following = _of_next(predicted, batch)
        loss = sums["word_loss"] + count * following["next_loss"]
        return {"loss": (loss, count)} | {name: (total, count) for name, total in sums.items()} | following

    def sample(state, key, num, batch):
        del key, num
        return jax.nn.softmax(apply_eval(module, state.params["network"], {}, *inputs(batch)).words)

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=2))


def _chosen(batch: Batch) -> jax.Array:
    """Returns (B, P) bool: True where there is a word to predict."""
    return batch["weights"] > 0


def _of_words(predicted: Prediction, batch: Batch) -> Metrics:
    """Returns {name: values (B, P)} of the predictions of words."""
    right = predicted.words.argmax(axis=-1) == batch["targets"]
    return {
        "word_loss": token_cross_entropy(predicted.words, batch["targets"]),
        "word_accuracy": right.astype(jnp.float32),
    }


def _of_next(predicted: Prediction, batch: Batch) -> Metrics:
    """Returns {name: values (B,)} of the predictions of the next sentence."""
    label = 1 - batch["is_next"]
    return {"next_loss": cross_entropy(predicted.next, label), "next_accuracy": accuracy(predicted.next, label)}
