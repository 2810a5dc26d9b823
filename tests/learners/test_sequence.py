"""Next-token training: losses against SciPy's, patterns to learn, and one compiled program for all sampling."""

import dataclasses
from functools import partial

import jax
import numpy as np
import optax
import pytest
from scipy import special

from gdl_jax.core.parallel import UNOPTIMISED
from gdl_jax.learners.sequence import autoregressive, event_losses, token_losses
from gdl_jax.models import music_rnn, phrase_rnn, text_rnn
from gdl_jax.models.events import Events, Temperatures, Vocabulary
from gdl_jax.models.text_rnn import TextRNN
from gdl_jax.nn.sampling import SamplingConfig

BATCH = 16
TOKENS, WINDOW = 8, 5  # vocabulary and context of the text model
TEXT_CONFIG = text_rnn.Config(embedding_size=4, hidden_units=16)
VOCABULARY = Vocabulary(6, 3)
CONTEXT, CONTINUATION, PIECES = 6, 3, 8
SIZES = {"embedding_size": 4, "hidden_units": 16}
# network -> (module, its `generate`, number of predicted events)
MUSIC = {
    "music_rnn": (music_rnn.MusicRNN(music_rnn.Config(**SIZES), VOCABULARY), partial(music_rnn.generate, begin=-1), 1),
    "phrase_rnn": (
        phrase_rnn.PhraseRNN(
            phrase_rnn.Config(continuation_length=CONTINUATION, attention_units=8, **SIZES), VOCABULARY
        ),
        partial(phrase_rnn.generate, begin=-1),
        CONTINUATION,
    ),
}


def text_learner(module, optimizer):
    generate = partial(text_rnn.generate, unknown=0, separator=-1)
    return autoregressive(module, optimizer, streams=("tokens",), losses=token_losses, generate=generate)


def alphabet(rows):
    """Tokens that rise by one, with 1 after V - 1, each row from another start; 0 does not occur."""
    return {"tokens": ((np.arange(rows)[:, None] + np.arange(WINDOW + 1)) % (TOKENS - 1) + 1).astype(np.int32)}


def rising(rows, length):
    """Notes that rise by one and durations that alternate, each row from another start."""
    places = np.arange(rows)[:, None] + np.arange(length)
    return {"note": (places % 6).astype(np.int32), "duration": (places % 2 + 1).astype(np.int32)}


@pytest.mark.slow
@pytest.mark.parametrize("every_position", [False, True])
def test_token_loss_is_the_next_token_cross_entropy(every_position):
    module = TextRNN(dataclasses.replace(TEXT_CONFIG, every_position=every_position), TOKENS)
    learner = text_learner(module, optax.sgd(0.1))
    batch = {"tokens": np.random.default_rng(0).integers(0, TOKENS, (BATCH, WINDOW + 1)).astype(np.int32)}
    state = jax.jit(learner.init)(jax.random.key(0), batch)
    logits = module.apply({"params": state.params["network"]}, batch["tokens"][:, :-1], train=True)
    picked = np.take_along_axis(
        special.log_softmax(np.asarray(logits, float), axis=-1), batch["tokens"][:, -logits.shape[1] :, None], axis=-1
    )[..., 0]
    assert picked.shape[1] == (WINDOW if every_position else 1)
    _, metrics = jax.jit(learner.step)(state, batch, jax.random.key(1))
    assert float(metrics["loss"]) == pytest.approx(-picked.mean(), rel=1e-5)
    held_out = jax.jit(learner.evaluate)(state, batch, jax.random.key(1))
    np.testing.assert_allclose(held_out["loss"], -picked[:, -1], rtol=1e-4)


@pytest.mark.slow
def test_text_model_learns_and_generates_an_alphabet():
    module = TextRNN(dataclasses.replace(TEXT_CONFIG, every_position=True), TOKENS)
    learner, batch = text_learner(module, optax.adam(0.02)), alphabet(BATCH)
    state, step = jax.jit(learner.init)(jax.random.key(0), batch), jax.jit(learner.step)
    for t in range(150):
        state, metrics = step(state, batch, jax.random.key(t))
    assert float(metrics["loss"]) < 0.1 < np.log(TOKENS - 1)
    texts = learner.sample(state, jax.random.key(0), 3, batch["tokens"][:3, :-1], 9, SamplingConfig(0.0))
    np.testing.assert_array_equal(texts, (np.arange(3)[:, None] + WINDOW + np.arange(9)) % (TOKENS - 1) + 1)
    for sampling in (SamplingConfig(0.3, 2, 0.9), SamplingConfig(1.0)):
        one = learner.sample(state, jax.random.key(1), 3, batch["tokens"][0, :-1], 9, sampling)
        assert one.shape == (3, 9)
    assert learner.sample._cache_size() == 2  # one program per shape of the context


@pytest.fixture(scope="module", params=MUSIC)
def trained(request):
    """(module, learner, traces of `generate`, evaluate, batch, states before and after training, metrics)."""
    module, generate, predicted = MUSIC[request.param]
    traces = []

    def counted(*arguments):
        traces.append(1)
        return generate(*arguments)

    learner = autoregressive(module, optax.adam(0.02), streams=Events._fields, losses=event_losses, generate=counted)
    batch = rising(PIECES, CONTEXT + predicted)
    before = jax.jit(learner.init, compiler_options=UNOPTIMISED)(jax.random.key(0), batch)

    @jax.jit
    def train(state):
        return jax.lax.scan(lambda s, key: learner.step(s, batch, key), state, jax.random.split(jax.random.key(1), 150))

    return module, learner, traces, jax.jit(learner.evaluate), batch, before, *train(before)


@pytest.mark.slow
def test_event_losses_are_next_event_cross_entropies(trained):
    module, _, _, evaluate, batch, state, _, history = trained
    rng = np.random.default_rng(0)
    tokens = {key: rng.integers(0, count, batch[key].shape) for key, count in (("note", 6), ("duration", 3))}
    tokens = {key: value.astype(np.int32) for key, value in tokens.items()}
    inputs = [tokens[key][:, :-1] for key in ("note", "duration")]
    predicted = jax.jit(partial(module.apply, train=False))({"params": state.params["network"]}, *inputs)
    expected = {}
    for key, logits in (("note", predicted.note), ("duration", predicted.duration)):
        log_probabilities = special.log_softmax(np.asarray(logits, float), axis=-1)
        targets = tokens[key][:, -logits.shape[1] :, None]
        expected[f"{key}_loss"] = -np.take_along_axis(log_probabilities, targets, axis=-1).mean(axis=(1, 2))
    expected["loss"] = expected["note_loss"] + expected["duration_loss"]
    held_out, first = (evaluate(state, rows, jax.random.key(1)) for rows in (tokens, batch))
    assert set(held_out) == set(expected) == set(history) - {"gradient_norm"}
    for key, values in expected.items():
        np.testing.assert_allclose(held_out[key], values, rtol=1e-5)
        np.testing.assert_allclose(history[key][0], first[key].mean(), rtol=1e-5)


@pytest.mark.slow
def test_music_model_learns_and_continues_a_pattern_in_one_program(trained):
    _, learner, traces, _, _, _, state, history = trained
    assert history["loss"][0] > 2.5  # ln 6 + ln 3 = 2.9 before training
    assert history["loss"][-1] < 0.1
    context = Events(**rising(1, CONTEXT))
    for temperature in (0.0, 0.5, 1.0):
        both = Temperatures(temperature, temperature)
        passage = learner.sample(state, jax.random.key(2), 2, Events(*(row[0] for row in context)), 7, both)
        assert passage.events.note.shape == (2, 7)
        if temperature == 0:
            expected = rising(1, CONTEXT + 7)
            for actual, key in zip(passage.events, ("note", "duration"), strict=True):
                np.testing.assert_array_equal(actual, np.tile(expected[key][:, CONTEXT:], (2, 1)))
    assert len(traces) == 1
