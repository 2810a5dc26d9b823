"""How music is learnt: the losses against SciPy's, a pattern that is learnt, one program for all temperatures."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from scipy import special

from gdl_jax.core.parallel import UNOPTIMISED
from gdl_jax.learners.composer import composer
from gdl_jax.models import music_rnn, phrase_rnn
from gdl_jax.models.events import Events, Temperatures, Vocabulary

VOCABULARY = Vocabulary(6, 3)
C, T, B = 6, 3, 8
SIZES = {"embedding_size": 4, "hidden_units": 16}
NETWORKS = {
    "music_rnn": (music_rnn.MusicRNN(music_rnn.Config(**SIZES), VOCABULARY), partial(music_rnn.write_on, begin=-1), 1),
    "phrase_rnn": (
        phrase_rnn.PhraseRNN(phrase_rnn.Config(continuation_length=T, attention_units=8, **SIZES), VOCABULARY),
        partial(phrase_rnn.write_phrases, begin=-1),
        T,
    ),
}


def rising(rows, length):
    """Notes that rise by one and durations that change by turns, from anywhere on."""
    places = np.arange(rows)[:, None] + np.arange(length)
    return {"note": (places % 6).astype(np.int32), "duration": (places % 2 + 1).astype(np.int32)}


@pytest.fixture(scope="module", params=NETWORKS)
def lesson(request):
    """(module, learner, calls of `write` that were traced, evaluate, a batch, states before and after, metrics)."""
    module, write, predicted = NETWORKS[request.param]
    traces = []

    def counted(*arguments):
        traces.append(1)
        return write(*arguments)

    learner = composer(module, counted, optax.adam(0.02))
    batch = rising(B, C + predicted)
    before = jax.jit(learner.init, compiler_options=UNOPTIMISED)(jax.random.key(0), batch)

    @jax.jit
    def train(state):
        return jax.lax.scan(lambda s, key: learner.step(s, batch, key), state, jax.random.split(jax.random.key(1), 150))

    return module, learner, traces, jax.jit(learner.evaluate), batch, before, *train(before)


@pytest.mark.slow
def test_losses_are_cross_entropies_of_what_comes_next(lesson):
    module, _, _, evaluate, batch, state, _, history = lesson
    rng = np.random.default_rng(0)
    tokens = {key: rng.integers(0, count, batch[key].shape) for key, count in (("note", 6), ("duration", 3))}
    tokens = {key: value.astype(np.int32) for key, value in tokens.items()}
    given = [tokens[key][:, :-1] for key in ("note", "duration")]
    made = jax.jit(partial(module.apply, train=False))({"params": state.params["network"]}, *given)
    expected = {}
    for key, logits in (("note", made.note), ("duration", made.duration)):
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
def test_a_pattern_is_learnt_and_gone_on_with_in_one_program(lesson):
    _, learner, traces, _, _, _, state, history = lesson
    assert history["loss"][0] > 2.5  # ln 6 + ln 3 = 2.9 where nothing is known
    assert history["loss"][-1] < 0.1
    context = Events(**rising(1, C))
    for temperature in (0.0, 0.5, 1.0):
        both = Temperatures(temperature, temperature)
        passage = learner.sample(state, jax.random.key(2), 2, Events(*(row[0] for row in context)), 7, both)
        assert passage.events.note.shape == (2, 7)
        if temperature == 0:
            expected = rising(1, C + 7)
            for actual, key in zip(passage.events, ("note", "duration"), strict=True):
                np.testing.assert_array_equal(actual, np.tile(expected[key][:, C:], (2, 1)))
    assert len(traces) == 1
