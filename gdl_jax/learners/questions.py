"""Joint training of answer tagging and question generation (book 06_02)."""

import jax
import optax

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import apply_eval, one_network
from gdl_jax.losses.sequences import masked_mean, masked_sum, token_cross_entropy
from gdl_jax.models.qa import QuestionAnswerer, SpecialTokens, generate_questions
from gdl_jax.nn import pointer

INPUTS = (
    *("document_tokens", "document_mask", "answer_indices", "answer_mask"),
    *("question_input_tokens", "question_mask"),
)


def question_answerer(
    module: QuestionAnswerer,
    optimizer: optax.GradientTransformation,
    *,
    special: SpecialTokens,
    width: int = 1,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Minimises the sum of the cross-entropies of answer tags and of question words (book).

    Each is averaged over the words of a passage or question first and over examples then, so that the means don't
    depend on how examples are split into batches and over devices. (Keras weighs all words of a batch equally.)

    Args:
      module: the network.
      optimizer: from `optimizers.make_optimizer`.
      special: ids of the special tokens.
      width: number of beams of `sample`; 1: greedy decoding.
      accumulate: parts into which a batch is split to accumulate gradients; see `gradient.update`.
      axis_name: the pmapped axis, or None.

    Batches are those of `data.text.questions.QuestionData`. Metrics: loss, answer_loss, question_loss. `evaluate` also
    returns "word_loss", the question's cross-entropy as a mean over words, in nats, where all words outside the
    vocabulary count as one. It can be compared with a unigram entropy, with ln V, and between networks with and without
    copying.

    `sample(state, key, num, batch, length)` returns the most probable questions (num, length) about the batch's
    answers; it ignores the key. `num` is the batch size; it and `length` are static.
    """

    copies = module.config.copy

    def word_losses(output, document, targets):
        if not copies:
            return token_cross_entropy(output.logits, targets)
        return -pointer.log_probability(output.logits, output.gate_logits, output.attention, document, targets)

    def terms(predicted, batch):
        tags = token_cross_entropy(predicted.answer_logits, batch["answer_labels"])
        kind = "copy" if copies else "output"
        words = word_losses(predicted.question, batch["document_copy_tokens"], batch[f"question_{kind}_tokens"])
        answer, question = masked_mean(tags, batch["document_mask"]), masked_mean(words, batch["question_mask"])
        return {"loss": answer + question, "answer_loss": answer, "question_loss": question}  # each (B,)

    def inputs(batch):
        return tuple(batch[name] for name in INPUTS)

    init, step = one_network(module, optimizer, inputs=inputs, terms=terms, accumulate=accumulate, axis_name=axis_name)

    def evaluate(state, batch, key):
        del key
        predicted = apply_eval(module, state.params["network"], {}, *inputs(batch))
        words = word_losses(predicted.question, batch["document_tokens"], batch["question_output_tokens"])
        mask = batch["question_mask"]
        word_loss = masked_sum(words, mask), mask.sum(axis=1).astype(words.dtype)
        return terms(predicted, batch) | {"word_loss": word_loss}

    def sample(state, key, num, batch, length):
        del key, num
        variables = {"params": state.params["network"]}
        questions = generate_questions(module, variables, batch, special, width=width, length=length)
        return questions.tokens[:, 0]

    return Learner(init, step, evaluate, jax.jit(sample, static_argnums=(2, 4)))
