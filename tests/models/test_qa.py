"""The network that asks: its counts, its masks, and what it says step by step and all at once."""

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
from gdl_jax.models.qa import Config, QuestionAnswerer, Special, Spoken, answer_probabilities, ask, log_probabilities

SPECIAL = Special(questions.PADDING, questions.UNKNOWN, questions.START, questions.END)
V, D, Q, A = 7, 5, 4, 3
TINY = Config(embedding_size=3, reader_units=4, decoder_units=5, attention_units=3)
KINDS = [{}, {"attention": True}, {"attention": True, "copy": True}, {"reset_after": True}]


def batch(words=V):
    """Two documents, of 5 words and of 3, one of them with a word that is not in the vocabulary."""
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
    """The network, and its variables, all of unit scale."""
    module, rng = QuestionAnswerer(dataclasses.replace(TINY, **changes), V), np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(batch()), train=False))
    return module, jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def padded(rows, extra=3):
    """The same rows with more padding, which holds what could do harm if it were looked at."""
    rows = {name: jnp.pad(values, ((0, 0), (0, extra))) for name, values in rows.items()}
    for part, tokens in (("document", "document_tokens"), ("answer", "answer_indices"), ("question", INPUT)):
        rows[tokens] = jnp.where(rows[f"{part}_mask"], rows[tokens], 2)
    return rows


@partial(jax.jit, static_argnums=0)
def predict(module, variables, rows):
    return module.apply(variables, *inputs(rows), train=False)


@pytest.mark.parametrize(("reset_after", "count"), [(False, 3_537_402), (True, 3_539_202)])
@pytest.mark.parametrize("vectors", [None, np.zeros((9984, 100), np.float32)])
def test_it_has_the_book_s_count_of_parameters(reset_after, count, vectors):
    module = QuestionAnswerer(Config(reset_after=reset_after), 9984, vectors)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(batch(9984)), train=False))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@pytest.mark.slow
def test_word_vectors_are_what_it_starts_from():
    vectors = np.random.default_rng(0).normal(size=(V, 6)).astype(np.float32)
    params = QuestionAnswerer(TINY, V, vectors).init(jax.random.key(0), *inputs(batch()), train=False)["params"]
    np.testing.assert_array_equal(params["embedding"]["embedding"], vectors)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_prediction(kind):
    module, variables = network(**kind)
    rows = batch()
    plain, more = (predict(module, variables, given) for given in (rows, padded(rows)))
    words, spoken = rows["document_mask"], rows["question_mask"]
    np.testing.assert_allclose(more.answer_logits[:, :D][words], plain.answer_logits[words], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(more.question.logits[:, :Q][spoken], plain.question.logits[spoken], rtol=1e-5, atol=1e-6)
    if module.config.attention:
        weights = more.question.attention[:, :Q][spoken]
        np.testing.assert_allclose(weights[:, :D], plain.question.attention[spoken], rtol=1e-5, atol=1e-6)
        assert not weights[:, D:].any()


def test_padding_belongs_to_no_answer():
    module, variables = network()
    tag = jax.jit(partial(answer_probabilities, module))
    plain, more = (tag(variables, r["document_tokens"], r["document_mask"]) for r in (batch(), padded(batch())))
    np.testing.assert_allclose(more[:, :D], plain, rtol=1e-5, atol=1e-6)
    assert not more[:, D:].any() and not plain[1, 3:].any() and (plain[0] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_is_no_padding_counts(kind):
    module, variables = network(**kind)
    before = predict(module, variables, batch()).question.logits
    for name, column in (("document_tokens", 0), ("answer_indices", 0), ("question_input_tokens", 0)):
        rows = batch()
        rows[name] = rows[name].at[0, column].set(3)
        after = predict(module, variables, rows).question.logits
        assert np.abs(after - before)[0].max() > 1e-4, name
        np.testing.assert_allclose(after[1], before[1], rtol=1e-5, atol=1e-6)


def test_copied_words_are_added_up():
    rng = np.random.default_rng(0)
    logits, gate = rng.normal(size=(2, V)).astype(np.float32), rng.normal(size=2).astype(np.float32)
    attention = np.array([[0.1, 0.4, 0.2, 0.2, 0.1], [0.5, 0.2, 0.3, 0.0, 0.0]], np.float32)
    document = np.asarray(batch()["document_copy_tokens"])
    found = np.exp(log_probabilities(Spoken(logits, attention, gate), document, SPECIAL))
    for b in range(2):
        speaks = special.expit(gate[b])
        expected = np.concatenate([speaks * special.softmax(logits[b]), np.zeros(D)])
        for word, weight in zip(document[b], attention[b], strict=True):
            expected[word] += (1 - speaks) * weight
        expected[[SPECIAL.padding, SPECIAL.start]] = 0
        np.testing.assert_allclose(found[b], expected, rtol=1e-4, atol=1e-7)


def all_at_once(module, variables, rows, example, sequences):
    """The logarithms of the probabilities of sequences (N, T), end marks included, from one pass over all of them."""
    sequences = np.array(sequences)
    given = {name: jnp.repeat(values[example : example + 1], len(sequences), axis=0) for name, values in rows.items()}
    heard = np.where(sequences < V, sequences, SPECIAL.unknown)[:, :-1]
    given[INPUT] = jnp.pad(heard, ((0, 0), (1, 0)), constant_values=SPECIAL.start)
    given["question_mask"] = jnp.ones(sequences.shape, bool)
    said = predict(module, variables, given).question
    document = given["document_copy_tokens"] if module.config.copy else None
    totals, ended = np.zeros(len(sequences)), np.zeros(len(sequences), bool)
    for place, words in enumerate(sequences.T):
        logs = log_probabilities(jax.tree.map(lambda x, place=place: x[:, place], said), document, SPECIAL)
        totals += np.where(ended, 0.0, logs[np.arange(len(words)), words])
        ended |= words == SPECIAL.end
    return totals


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_beam_that_is_wide_enough_finds_the_most_probable_question(kind):
    module, variables = network(seed=1, **kind)
    rows, length = batch(), 2
    found = jax.jit(partial(ask, module, special=SPECIAL, width=150, length=length))(variables, rows)
    sayable = [1, 3, 4, 5, 6]
    for example, own in ((0, V + 1), (1, V + 2)):
        words = [*sayable, own] if module.config.copy else sayable
        sequences = [
            sequence
            for sequence in product(words, repeat=length)
            if sequence[0] != SPECIAL.end or sequence[1] == SPECIAL.end
        ]
        scores = dict(zip(sequences, all_at_once(module, variables, rows, example, sequences), strict=True))
        best = sorted(scores, key=scores.get, reverse=True)[:4]
        assert [tuple(row) for row in found.tokens[example, :4].tolist()] == best
        np.testing.assert_allclose(found.scores[example, :4], [scores[one] for one in best], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_question(kind):
    module, variables = network(seed=2, **kind)
    run = jax.jit(partial(ask, module, special=SPECIAL, width=2, length=6))
    rows = batch()
    more = padded(rows)
    plain, found = run(variables, rows), run(variables, more)
    np.testing.assert_array_equal(found.tokens, plain.tokens)
    np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-4)


def test_copying_needs_attention():
    with pytest.raises(ConfigError, match="copy"):
        network(copy=True)
