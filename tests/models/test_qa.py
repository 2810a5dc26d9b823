"""Question generation network: parameter counts, masks, and step-by-step against teacher-forced predictions."""

import dataclasses
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.text import questions
from gdl_jax.models.qa import (
    Config,
    DecoderOutput,
    QuestionAnswerer,
    SpecialTokens,
    answer_probabilities,
    generate_questions,
    log_probabilities,
)

SPECIAL = SpecialTokens(questions.PADDING, questions.UNKNOWN, questions.START, questions.END)
V, D, Q, A = 7, 5, 4, 3
TINY = Config(embedding_size=3, reader_units=4, decoder_units=5, attention_units=3)
KINDS = [{}, {"attention": True}, {"attention": True, "copy": True}, {"reset_after": True}]


def batch(words=V):
    """Returns a batch of two documents, of 5 and of 3 words, each with a word outside the vocabulary."""
    rows = {
        "document": [[4, V + 1, 6, 4, 5], [5, 6, V + 2, 0, 0]],
        "question": [[4, V + 1, 3, 0], [V + 2, 5, 6, 3]],
        "answer_labels": [[0, 1, 1, 0, 0], [1, 0, 0, 0, 0]],
        "answer_indices": [[1, 2, -1], [0, -1, -1]],
    }
    return questions.features({name: np.array(values, np.int32) for name, values in rows.items()}, words)


INPUT = "question_input_tokens"


def inputs(rows):
    names = ("document_tokens", "document_mask", "answer_indices", "answer_mask", INPUT)
    return (*(rows[name] for name in names), rows["question_mask"])


def network(seed=0, **changes):
    """Returns the network and random variables of unit scale."""
    module, rng = QuestionAnswerer(dataclasses.replace(TINY, **changes), V), np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(batch()), train=False))
    return module, jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def padded(rows, extra=3):
    """Returns the same rows with more padding, filled with real tokens that would matter if they weren't masked."""
    rows = {name: jnp.pad(values, ((0, 0), (0, extra))) for name, values in rows.items()}
    for part, tokens in (("document", "document_tokens"), ("answer", "answer_indices"), ("question", INPUT)):
        rows[tokens] = jnp.where(rows[f"{part}_mask"], rows[tokens], 2)
    return rows


@partial(jax.jit, static_argnums=0)
def predict(module, variables, rows):
    return module.apply(variables, *inputs(rows), train=False)


@pytest.mark.parametrize(("reset_after", "count"), [(False, 3_537_402), (True, 3_539_202)])
@pytest.mark.parametrize("vectors", [None, np.zeros((9984, 100), np.float32)])
def test_parameter_count_is_the_books(reset_after, count, vectors):
    module = QuestionAnswerer(Config(reset_after=reset_after), 9984, vectors)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(batch(9984)), train=False))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@pytest.mark.slow
def test_word_vectors_initialise_the_embedding():
    vectors = np.random.default_rng(0).normal(size=(V, 6)).astype(np.float32)
    params = QuestionAnswerer(TINY, V, vectors).init(jax.random.key(0), *inputs(batch()), train=False)["params"]
    np.testing.assert_array_equal(params["embedding"]["embedding"], vectors)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_prediction(kind):
    module, variables = network(**kind)
    rows = batch()
    plain, more = (predict(module, variables, inputs) for inputs in (rows, padded(rows)))
    words, steps = rows["document_mask"], rows["question_mask"]
    np.testing.assert_allclose(more.answer_logits[:, :D][words], plain.answer_logits[words], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(more.question.logits[:, :Q][steps], plain.question.logits[steps], rtol=1e-5, atol=1e-6)
    if module.config.attention:
        weights = more.question.attention[:, :Q][steps]
        np.testing.assert_allclose(weights[:, :D], plain.question.attention[steps], rtol=1e-5, atol=1e-6)
        assert not weights[:, D:].any()


def test_padding_belongs_to_no_answer():
    module, variables = network()
    tag = jax.jit(partial(answer_probabilities, module))
    plain, more = (tag(variables, r["document_tokens"], r["document_mask"]) for r in (batch(), padded(batch())))
    np.testing.assert_allclose(more[:, :D], plain, rtol=1e-5, atol=1e-6)
    assert not more[:, D:].any() and not plain[1, 3:].any() and (plain[0] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_depend_on_all_inputs(kind):
    module, variables = network(**kind)
    before = predict(module, variables, batch()).question.logits
    for name, column in (("document_tokens", 0), ("answer_indices", 0), ("question_input_tokens", 0)):
        rows = batch()
        rows[name] = rows[name].at[0, column].set(3)
        after = predict(module, variables, rows).question.logits
        assert np.abs(after - before)[0].max() > 1e-4, name
        np.testing.assert_allclose(after[1], before[1], rtol=1e-5, atol=1e-6)


def test_probabilities_of_copied_words_are_added_up():
    rng = np.random.default_rng(0)
    logits, gate = rng.normal(size=(2, V)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    attention = np.array([[0.1, 0.4, 0.2, 0.2, 0.1], [0.5, 0.2, 0.3, 0.0, 0.0]], np.float32)
    document = np.asarray(batch()["document_copy_tokens"])
    found = np.exp(log_probabilities(DecoderOutput(logits, attention, gate), document, SPECIAL))
    for b in range(2):
        generates = special.expit(gate[b])
        expected = np.concatenate([generates * special.softmax(logits[b]), np.zeros(D)])
        for word, weight in zip(document[b], attention[b], strict=True):
            expected[word] += (1 - generates) * weight
        expected[[SPECIAL.padding, SPECIAL.start]] = 0
        np.testing.assert_allclose(found[b], expected, rtol=1e-4, atol=1e-7)


def log_probabilities_of(module, variables, rows, example, sequences):
    """Returns log-probabilities of sequences (N, T), end tokens included, from one teacher-forced pass."""
    sequences = np.array(sequences)
    batch = {name: jnp.repeat(values[example : example + 1], len(sequences), axis=0) for name, values in rows.items()}
    previous = np.where(sequences < V, sequences, SPECIAL.unknown)[:, :-1]
    batch[INPUT] = jnp.pad(previous, ((0, 0), (1, 0)), constant_values=SPECIAL.start)
    batch["question_mask"] = jnp.ones(sequences.shape, bool)
    output = predict(module, variables, batch).question
    document = batch["document_copy_tokens"] if module.config.copy else None
    totals, ended = np.zeros(len(sequences)), np.zeros(len(sequences), bool)
    for step, words in enumerate(sequences.T):
        logs = log_probabilities(jax.tree.map(lambda x, step=step: x[:, step], output), document, SPECIAL)
        totals += np.where(ended, 0.0, logs[np.arange(len(words)), words])
        ended |= words == SPECIAL.end
    return totals


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_wide_beam_finds_the_most_probable_questions(kind):
    module, variables = network(seed=1, **kind)
    rows, length = batch(), 2
    found = jax.jit(partial(generate_questions, module, special=SPECIAL, width=150, length=length))(variables, rows)
    vocabulary = [1, 3, 4, 5, 6]
    for example, own in ((0, V + 1), (1, V + 2)):
        words = [*vocabulary, own] if module.config.copy else vocabulary
        sequences = [
            sequence
            for sequence in product(words, repeat=length)
            if sequence[0] != SPECIAL.end or sequence[1] == SPECIAL.end
        ]
        scores = dict(zip(sequences, log_probabilities_of(module, variables, rows, example, sequences), strict=True))
        best = sorted(scores, key=scores.get, reverse=True)[:4]
        assert [tuple(row) for row in found.tokens[example, :4].tolist()] == best
        np.testing.assert_allclose(found.scores[example, :4], [scores[one] for one in best], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_generated_question(kind):
    module, variables = network(seed=2, **kind)
    run = jax.jit(partial(generate_questions, module, special=SPECIAL, width=2, length=6))
    rows = batch()
    more = padded(rows)
    plain, found = run(variables, rows), run(variables, more)
    np.testing.assert_array_equal(found.tokens, plain.tokens)
    np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-4)


def test_copying_needs_attention():
    with pytest.raises(ConfigError, match="copy"):
        network(copy=True)
