"""How a language is learnt: the loss against SciPy's, an alphabet that is learnt, one program for all sampling."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
from scipy import special

from gdl_jax.learners.language import language_model
from gdl_jax.models.text_rnn import Config, SamplingConfig, TextRNN

V, C, B = 8, 5, 16
CONFIG = Config(embedding_size=4, hidden_units=16)


def alphabet(rows):
    """Tokens that go up by one from anywhere on, 1 after V - 1; none is 0."""
    return {"tokens": ((np.arange(rows)[:, None] + np.arange(C + 1)) % (V - 1) + 1).astype(np.int32)}


@pytest.mark.slow
@pytest.mark.parametrize("every_position", [False, True])
def test_the_loss_is_the_cross_entropy_of_what_comes_next(every_position):
    module = TextRNN(dataclasses.replace(CONFIG, every_position=every_position), V)
    learner = language_model(module, optax.sgd(0.1), unknown=0, separator=-1)
    batch = {"tokens": np.random.default_rng(0).integers(0, V, (B, C + 1)).astype(np.int32)}
    state = jax.jit(learner.init)(jax.random.key(0), batch)
    logits = module.apply({"params": state.params["network"]}, batch["tokens"][:, :-1], train=True)
    picked = np.take_along_axis(
        special.log_softmax(np.asarray(logits, float), axis=-1), batch["tokens"][:, -logits.shape[1] :, None], axis=-1
    )[..., 0]
    assert picked.shape[1] == (C if every_position else 1)
    _, metrics = jax.jit(learner.step)(state, batch, jax.random.key(1))
    assert float(metrics["loss"]) == pytest.approx(-picked.mean(), rel=1e-5)
    held_out = jax.jit(learner.evaluate)(state, batch, jax.random.key(1))
    np.testing.assert_allclose(held_out["loss"], -picked[:, -1], rtol=1e-4)


@pytest.mark.slow
def test_an_alphabet_is_learnt_and_said():
    module = TextRNN(dataclasses.replace(CONFIG, every_position=True), V)
    learner, batch = language_model(module, optax.adam(0.02), unknown=0, separator=-1), alphabet(B)
    state, step = jax.jit(learner.init)(jax.random.key(0), batch), jax.jit(learner.step)
    for t in range(150):
        state, metrics = step(state, batch, jax.random.key(t))
    assert float(metrics["loss"]) < 0.1 < np.log(V - 1)
    texts = learner.sample(state, jax.random.key(0), 3, batch["tokens"][:3, :-1], 9, SamplingConfig(0.0))
    np.testing.assert_array_equal(texts, (np.arange(3)[:, None] + C + np.arange(9)) % (V - 1) + 1)
    for sampling in (SamplingConfig(0.3, 2, 0.9), SamplingConfig(1.0)):
        one = learner.sample(state, jax.random.key(1), 3, batch["tokens"][0, :-1], 9, sampling)
        assert one.shape == (3, 9)
    assert learner.sample._cache_size() == 2  # of the two kinds of context
