"""Learner of question generation on bulletins: training, masks, and equal weights of questions."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy.special import expit, softmax

from gdl_jax.data.text import questions
from gdl_jax.data.text.questions import features
from gdl_jax.evaluation.text import unigram_entropy
from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.learners.questions import INPUTS, question_answerer
from gdl_jax.models.qa import Config, QuestionAnswerer, SpecialTokens

SPECIAL = SpecialTokens(questions.PADDING, questions.UNKNOWN, questions.START, questions.END)
STEPS = 120


@pytest.fixture(scope="module")
def data():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "BULLETINS", 200)
        return questions.load("bulletins", lengths=questions.Lengths(72, 14, 3))


def learner_of(data, **changes):
    config = Config(embedding_size=16, reader_units=16, decoder_units=32, attention_units=16, **changes)
    module = QuestionAnswerer(config, len(data.vocabulary))
    return question_answerer(module, OPTIMIZERS["adam"](1e-2), special=SPECIAL)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"attention": True, "copy": True}])
def test_learns_to_tag_answers_and_generate_questions(data, changes):
    learner, rng = learner_of(data, **changes), np.random.default_rng(0)
    held_out = data.transform(data.validation.take(np.arange(len(data.validation))))
    state = jax.jit(learner.init)(jax.random.key(0), held_out)
    evaluate, step = jax.jit(learner.evaluate), jax.jit(lambda s, rows, k: learner.step(s, data.transform(rows), k))

    def measured(state):
        values = evaluate(state, held_out, jax.random.key(0))
        words, count = values["word_loss"]
        assert count.sum() == held_out["question_mask"].sum()
        return float(words.sum() / count.sum()), float(values["answer_loss"].mean())

    first, _ = measured(state)
    for number in range(STEPS):
        rows = data.train.take(rng.integers(0, len(data.train), 32))
        state, metrics = step(state, rows, jax.random.key(number))
    last, tags = measured(state)
    mask, words = np.asarray(held_out["question_mask"]), np.asarray(held_out["question_output_tokens"])
    share = float(np.asarray(held_out["answer_labels"])[np.asarray(held_out["document_mask"])].mean())
    of_share = -share * np.log(share) - (1 - share) * np.log(
        1 - share
    )  # loss of tags that only know the share of answers
    assert first == pytest.approx(np.log(len(data.vocabulary)), rel=0.15)
    assert last < 0.8 * unigram_entropy(words[mask])
    assert tags < 0.8 * of_share
    assert all(np.isfinite(value) for value in metrics.values())


@pytest.mark.slow
def test_loss_is_a_mean_over_questions_without_padding(data):
    learner = learner_of(data)
    batch = data.transform(data.train.take(np.arange(6)))
    state = jax.jit(learner.init)(jax.random.key(0), batch)
    values = jax.jit(learner.evaluate)(state, batch, jax.random.key(0))
    _, metrics = jax.jit(learner.step)(state, batch, jax.random.key(0))
    for name in ("loss", "answer_loss", "question_loss"):
        assert float(metrics[name]) == pytest.approx(float(values[name].mean()), rel=1e-5)
    words, count = values["word_loss"]
    np.testing.assert_allclose(values["question_loss"], words / count, rtol=1e-5)
    padded = {name: np.pad(array, ((0, 0), (0, 3))) for name, array in batch.items()}
    for name, mask in (("document", "document"), ("answer", "document"), ("question", "question")):
        for array in (array for key, array in padded.items() if key.startswith(name) and array.dtype == np.int32):
            if array.shape == padded[f"{mask}_mask"].shape:
                array[~padded[f"{mask}_mask"]] = 1  # an unknown word, or an answer's tag
    more = jax.jit(learner.evaluate)(state, padded, jax.random.key(0))
    np.testing.assert_allclose(more["loss"], values["loss"], rtol=1e-5)
    np.testing.assert_allclose(more["word_loss"], values["word_loss"], rtol=1e-5)


@pytest.mark.slow
def test_word_loss_merges_all_unknown_words(data):
    """Against a copying network's probabilities, summed over all words outside the vocabulary."""
    config = Config(embedding_size=4, reader_units=4, decoder_units=4, attention_units=4, attention=True, copy=True)
    words = data.vocabulary.words[:40]  # a vocabulary without most words
    batch = features(data.train.take(np.arange(20)), len(words))
    module = QuestionAnswerer(config, len(words))
    learner = question_answerer(module, OPTIMIZERS["adam"](1e-2), special=SPECIAL)
    state = jax.jit(learner.init)(jax.random.key(0), batch)
    values = jax.jit(learner.evaluate)(state, batch, jax.random.key(0))
    inputs = tuple(batch[name] for name in INPUTS)
    output = jax.jit(partial(module.apply, train=False))({"params": state.params["network"]}, *inputs).question
    for row in range(20):
        document, loss = np.asarray(batch["document_tokens"][row]), 0.0
        length = int(batch["question_mask"][row].sum())
        for place, target in enumerate(np.asarray(batch["question_output_tokens"][row])[:length]):
            gate = expit(output.gate_logits[row, place])
            generated = gate * softmax(output.logits[row, place])[target]
            copied = (1 - gate) * np.asarray(output.attention[row, place])[document == target].sum()
            loss -= np.log(generated + copied)
        assert float(values["word_loss"][0][row]) == pytest.approx(loss, rel=1e-4)
    assert (np.asarray(batch["question_output_tokens"]) == SPECIAL.unknown).sum() > 20
    assert (values["question_loss"] > values["word_loss"][0] / values["word_loss"][1]).any()
