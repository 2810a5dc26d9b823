"""Learning to find answers and to ask for them, both at once (book 06_02)."""

import jax
import optax

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.losses.sequences import masked_mean, masked_sum, token_cross_entropy
from gdl_jax.models.qa import QuestionAnswerer, Special, ask
from gdl_jax.nn import pointer

INPUTS = (
    *("document_tokens", "document_mask", "answer_indices", "answer_mask"),
    *("question_input_tokens", "question_mask"),
)


def question_answerer(
    module: QuestionAnswerer,
    optimizer: optax.GradientTransformation,
    *,
    special: Special,
    width: int = 1,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the cross-entropies of tags and of questions' words, of weight 1 each (book).

    Each is the mean over questions of the mean over a question's own words, or its passage's: means that don't depend
    on how examples are laid over batches and devices. (Keras weighs words alike within a batch.)

    Args:
      module: the network.
      optimizer: from `optimizers.make_optimizer`.
      special: the words that are none.
      width: beams of `sample`; 1: greedy.
      accumulate: parts of a batch whose gradients are added up; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Batches are those of `data.questions.QuestionData`. Metrics: loss, answer_loss, question_loss. `evaluate` also has
    "word_loss", the question's cross-entropy as a mean over words, in nats, in which all words that the vocabulary
    lacks are one: it can be compared with a unigram entropy and with ln V, and copying networks with others.

    `sample(state, key, num, batch, length)` -> the most probable questions (num, length) about the batch's answers,
    which need no randomness. `num` is the batch's size; it and `length` are static.
    """

    copies = module.config.copy

    def of_words(said, document, targets):
        if not copies:
            return token_cross_entropy(said.logits, targets)
        return -pointer.log_probability(said.logits, said.gate_logits, said.attention, document, targets)

    def terms(predicted, batch):
        tags = token_cross_entropy(predicted.answer_logits, batch["answer_labels"])
        kind = "copy" if copies else "output"
        words = of_words(predicted.question, batch["document_copy_tokens"], batch[f"question_{kind}_tokens"])
        answer, question = masked_mean(tags, batch["document_mask"]), masked_mean(words, batch["question_mask"])
        return {"loss": answer + question, "answer_loss": answer, "question_loss": question}  # each (B,)

    def inputs(batch):
        return tuple(batch[name] for name in INPUTS)

    def init(key, batch):
        params, _ = init_variables(module, key, *inputs(batch))
        params = {"network": params}
        return TrainState(params, {}, optimizer.init(params))

    def loss_function(params, batch_stats, batch, key):
        predicted, _ = apply_train(module, params["network"], batch_stats, key, *inputs(batch))
        metrics = {name: values.mean() for name, values in terms(predicted, batch).items()}
        return Loss(metrics.pop("loss"), {}, metrics)

    def step(state, batch, key):
        return update(state, loss_function, batch, key, optimizer, axis_name, accumulate)

    def evaluate(state, batch, key):
        del key
        predicted = apply_eval(module, state.params["network"], {}, *inputs(batch))
        words = of_words(predicted.question, batch["document_tokens"], batch["question_output_tokens"])
        mask = batch["question_mask"]
        word_loss = masked_sum(words, mask), mask.sum(axis=1).astype(words.dtype)
        return terms(predicted, batch) | {"word_loss": word_loss}

    def sample(state, key, num, batch, length):
        del key, num
        variables = {"params": state.params["network"]}
        return ask(module, variables, batch, special, width=width, length=length).tokens[:, 0]

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=(2, 4)))
