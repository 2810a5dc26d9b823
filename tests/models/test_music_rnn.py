"""Music networks against NumPy restatements, and generation against one step at a time."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.models import music_rnn, phrase_rnn
from gdl_jax.models.events import Events, Temperatures, Vocabulary, draw
from tests.models.dropped import dropped_widths

VOCABULARY = Vocabulary(notes=7, durations=4)
B, C, T = 3, 5, 3
MUSIC = music_rnn.Config(embedding_size=3, hidden_units=4)
PHRASE = phrase_rnn.Config(continuation_length=T, embedding_size=3, hidden_units=4, attention_units=5)
GREEDY = Temperatures(0.0, 0.0)
NO_NOTE = -1


def events(length, rows=B, seed=0):
    rng = np.random.default_rng(seed)
    return Events(*(rng.integers(0, count, (rows, length)).astype(np.int32) for count in VOCABULARY))


def variables(module, length):
    """Returns random variables of unit scale, biases included."""
    rng, rngs = np.random.default_rng(1), {"params": jax.random.key(0), "dropout": jax.random.key(0)}
    shapes = jax.eval_shape(lambda: module.init(rngs, *events(length), train=False))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def music(attention=True, **changes):
    """Returns the network and its variables."""
    module = music_rnn.MusicRNN(dataclasses.replace(MUSIC, attention=attention, **changes), VOCABULARY)
    return module, variables(module, C)


def phrase(attention=True, **changes):
    """Returns the network and its variables."""
    module = phrase_rnn.PhraseRNN(dataclasses.replace(PHRASE, attention=attention, **changes), VOCABULARY)
    return module, variables(module, C + T - 1)


def embed(params, note, duration):
    vectors = params["embedding"]
    return np.concatenate([vectors["note"]["embedding"][note], vectors["duration"]["embedding"][duration]], axis=-1)


def cell(params, x, carry):
    gates = x @ params["kernel"] + carry[0] @ params["recurrent_kernel"] + params["bias"]
    i, f, g, o = np.split(gates, 4, axis=-1)
    c = special.expit(f) * carry[1] + special.expit(i) * np.tanh(g)
    return special.expit(o) * np.tanh(c), c


def lstm(params, xs):
    """Returns all hidden states (T, H) and the last carry of one example, xs (T, F)."""
    carry, states = (np.zeros(4), np.zeros(4)), []
    for x in xs:
        carry = cell(params, x, carry)
        states.append(carry[0])
    return np.stack(states), carry


def head(params, name, x):
    return x @ params["heads"][name]["kernel"] + params["heads"][name]["bias"]


def numpy_music_rnn(params, note, duration, attention):
    """Returns logits of note and duration and weights (C,), given one example (C,)."""
    x = embed(params, note, duration)
    for name in ("lstm_0", "lstm_1"):
        x, _ = lstm(params[name], x)
    weights = np.eye(len(x))[-1]
    if attention:
        score = params["attention"]["score"]
        weights = special.softmax(np.tanh(x @ score["kernel"][:, 0] + score["bias"]))
    context = weights @ x
    return head(params, "note", context), head(params, "duration", context), weights


def numpy_phrase_rnn(params, note, duration, attention):
    """Returns logits (T, ...) of note and duration and weights (T, C), given one example (C + T - 1,)."""
    xs = embed(params, note, duration)
    states, carry = lstm(params["encoder"], xs[:C])
    outputs = []
    for x in xs[C - 1 :]:
        weights = None
        if attention:
            layers = params["attend"]
            hidden = np.tanh(carry[0] @ layers["query"]["kernel"] + states @ layers["value"]["kernel"])
            weights = special.softmax((hidden @ layers["score"]["kernel"])[:, 0])
            x = np.concatenate([x, weights @ states])
        carry = cell(params["decoder"], x, carry)
        outputs.append((head(params, "note", carry[0]), head(params, "duration", carry[0]), weights))
    note, duration, weights = zip(*outputs, strict=True)
    return np.stack(note), np.stack(duration), np.stack(weights) if attention else None


@pytest.mark.parametrize("attention", [True, False])
def test_music_rnn_matches_a_numpy_restatement(attention):
    module, params = music(attention)
    rows = events(C)
    predicted = jax.jit(partial(module.apply, train=False))(params, *rows)
    assert (predicted.attention is not None) == attention
    for b in range(B):
        note, duration, weights = numpy_music_rnn(params["params"], rows.note[b], rows.duration[b], attention)
        np.testing.assert_allclose(predicted.note[b, 0], note, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(predicted.duration[b, 0], duration, rtol=1e-4, atol=1e-5)
        if attention:
            np.testing.assert_allclose(predicted.attention[b, 0], weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", [True, False])
def test_phrase_rnn_matches_a_numpy_restatement(attention):
    module, params = phrase(attention)
    rows = events(C + T - 1)
    predicted = jax.jit(partial(module.apply, train=False))(params, *rows)
    assert predicted.note.shape == (B, T, 7) and predicted.duration.shape == (B, T, 4)
    assert (predicted.attention is not None) == attention
    for b in range(B):
        note, duration, weights = numpy_phrase_rnn(params["params"], rows.note[b], rows.duration[b], attention)
        np.testing.assert_allclose(predicted.note[b], note, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(predicted.duration[b], duration, rtol=1e-4, atol=1e-5)
        if attention:
            np.testing.assert_allclose(predicted.attention[b], weights, rtol=1e-4, atol=1e-5)


def count(module, length):
    tokens = jax.ShapeDtypeStruct((1, length), jnp.int32)
    shapes = jax.eval_shape(lambda *inputs: module.init(jax.random.key(0), *inputs, train=False), tokens, tokens)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_parameter_counts_are_the_books():
    vocabulary = Vocabulary(387, 18)
    assert count(music_rnn.MusicRNN(music_rnn.Config(), vocabulary), 32) == 1_138_122
    assert count(music_rnn.MusicRNN(music_rnn.Config(attention=False), vocabulary), 32) == 1_137_865
    shared = 100 * (387 + 18) + 257 * (387 + 18) + 4 * 256 * (200 + 256 + 1)
    plain, attentive = 4 * 256 * (200 + 256 + 1), 4 * 256 * (200 + 256 + 256 + 1) + 128 * (256 + 256 + 1)
    assert count(phrase_rnn.PhraseRNN(phrase_rnn.Config(attention=False), vocabulary), 47) == shared + plain
    assert count(phrase_rnn.PhraseRNN(phrase_rnn.Config(), vocabulary), 47) == shared + attentive


@pytest.mark.slow
@pytest.mark.parametrize("attention", [True, False])
def test_greedy_events_are_the_most_probable_given_the_window(attention):
    module, params = music(attention)
    context, steps = events(C), 4
    passage = jax.jit(partial(music_rnn.generate, begin=NO_NOTE), static_argnums=(0, 4))(
        module, params, jax.random.key(0), context, steps, GREEDY
    )
    for b in range(B):
        note, duration = context.note[b].tolist(), context.duration[b].tolist()
        for step in range(steps):
            notes, durations, weights = numpy_music_rnn(params["params"], note[-C:], duration[-C:], attention)
            note.append(int(notes.argmax()))
            duration.append(int(durations.argmax()))
            np.testing.assert_allclose(passage.probabilities[b, step], special.softmax(notes), rtol=1e-4, atol=1e-5)
            if attention:
                np.testing.assert_allclose(passage.attention[b, step], weights, rtol=1e-4, atol=1e-5)
        assert (passage.events.note[b].tolist(), passage.events.duration[b].tolist()) == (note[C:], duration[C:])
    assert (passage.attention is not None) == attention


@pytest.mark.slow
@pytest.mark.parametrize("attention", [True, False])
def test_greedy_phrases_are_the_most_probable_given_the_last(attention):
    module, params = phrase(attention)
    context, steps = events(C), T + 1  # one phrase, and the first event of the next
    passage = jax.jit(partial(phrase_rnn.generate, begin=NO_NOTE), static_argnums=(0, 4))(
        module, params, jax.random.key(0), context, steps, GREEDY
    )
    assert passage.events.note.shape == passage.events.duration.shape == (B, steps)
    for b in range(B):
        note, duration = ([*before[b], *now[b]] for before, now in zip(context, passage.events, strict=True))
        for first in (0, T):
            window = slice(first, first + C + T - 1)
            inputs = [
                np.pad(np.array(tokens[window]), (0, max(0, first + C + T - 1 - len(tokens))))
                for tokens in (note, duration)
            ]
            notes, durations, weights = numpy_phrase_rnn(params["params"], *inputs, attention)
            for step in range(first, min(first + T, steps)):
                assert note[C + step] == notes[step - first].argmax()
                assert duration[C + step] == durations[step - first].argmax()
                expected = special.softmax(notes[step - first])
                np.testing.assert_allclose(passage.probabilities[b, step], expected, rtol=1e-4, atol=1e-5)
                if attention:
                    np.testing.assert_allclose(passage.attention[b, step], weights[step - first], rtol=1e-4, atol=1e-5)


def test_notes_and_durations_have_separate_temperatures():
    rng, rows = np.random.default_rng(2), 4000
    logits = [rng.normal(size=size) for size in VOCABULARY]
    note, duration = (np.tile(row, (rows, 1)).astype(np.float32) for row in logits)
    last = np.zeros(rows, np.int32)
    drawn = jax.jit(draw)(jax.random.key(0), note, duration, Temperatures(0.5, 2.0), last, NO_NOTE)
    for tokens, row, temperature in zip(drawn, logits, (0.5, 2.0), strict=True):
        seen = np.bincount(tokens, minlength=len(row))
        assert stats.chisquare(seen, rows * special.softmax(row / temperature)).pvalue > 1e-3
    table = np.zeros((7, 4))
    np.add.at(table, tuple(drawn), 1)
    assert stats.chi2_contingency(table[table.sum(axis=1) > 20]).pvalue > 1e-3  # drawn independently
    mixed = jax.jit(draw)(jax.random.key(0), note, duration, Temperatures(0.0, 2.0), last, NO_NOTE)
    assert set(np.asarray(mixed.note)) == {logits[0].argmax()} and len(set(np.asarray(mixed.duration))) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("make", "length"), [(music, C), (phrase, C + T - 1)])
def test_dropout_is_on_in_training_only(make, length):
    module, params = make(dropout_rate=0.5)
    plain, _ = make()
    rows = events(length)

    @jax.jit
    def run(key):
        dropped = module.apply(params, *rows, train=True, rngs={"dropout": key}).note
        evaluated = module.apply(params, *rows, train=False).note
        without = plain.apply(params, *rows, train=True).note
        return dropped, evaluated, without

    (one, evaluated, without), (other, _, _) = (run(jax.random.key(key)) for key in (0, 1))
    np.testing.assert_allclose(evaluated, without, rtol=1e-5, atol=1e-6)
    assert not np.allclose(one, other) and not np.allclose(one, evaluated)


@pytest.mark.parametrize(("make", "length"), [(music, C), (phrase, C + T - 1)])
def test_dropout_is_on_embeddings_and_lstm_outputs(make, length):
    module, params = make(dropout_rate=0.5)
    dropped = dropped_widths(module, params, *events(length))
    assert sorted(dropped) == sorted([2 * MUSIC.embedding_size, MUSIC.hidden_units, MUSIC.hidden_units])


@pytest.mark.parametrize("make", [music, phrase])
def test_bad_hyperparameters_are_refused(make):
    with pytest.raises(UserError, match="recurrent_activation=hardsigmoid"):
        make(recurrent_activation="hardsigmoid")
    with pytest.raises(ConfigError, match="dropout_rate"):
        make(dropout_rate=1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "generate"), [(music, music_rnn.generate), (phrase, phrase_rnn.generate)], ids=["music", "phrase"]
)
def test_start_note_never_follows_itself(network, generate):
    module, params = network()
    context = Events(*(tokens[:1] for tokens in events(C)))

    def generated(begin):
        passage = generate(module, params, jax.random.key(0), context, T, GREEDY, begin=begin)
        return np.asarray(passage.events.note)[0]

    start = int(generated(NO_NOTE)[0])  # the most probable note
    assert context.note[0, -1] != start
    notes = generated(start)
    assert notes[0] == start and notes[1] != start  # allowed after another note only
    context.note[0, -1] = start
    assert generated(start)[0] != start
