"""Tests of the encoder-decoder transformer and of its beam search."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.models.transformer import Config, Transformer, translate

START, END, VOCABULARY = 1, 2, 7
SMALL = {"layers": 2, "width": 16, "heads": 2, "hidden_units": 32, "dropout_rate": 0.0}
PAPER = {"tied": "all"}


def network(**changes):
    """Returns a small network with large random parameters, and its variables."""
    module = Transformer(Config(**SMALL | changes), VOCABULARY, VOCABULARY, 12)
    tokens = jnp.ones((1, 8), jnp.int32)
    variables = jax.jit(lambda: module.init(jax.random.key(0), tokens, tokens, train=False))()
    keys = iter(jax.random.split(jax.random.key(3), len(jax.tree.leaves(variables))))
    return module, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape), variables)


SOURCE = jnp.array([[START, 4, 5, END, 0, 0], [START, 6, 3, 5, 4, END]])


def count(config, source, target, length):
    module, tokens = Transformer(config, source, target, length), jnp.zeros((1, 8), jnp.int32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), tokens, tokens, train=False))
    return sum(x.size for x in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("config", "sizes", "parameters"),
    [
        (Config(**PAPER), (37_000, 37_000), 63_082_496),
        (Config(**PAPER, width=1024, heads=16, hidden_units=4096), (37_000, 37_000), 214_245_376),
        (Config(layers=3, width=256, hidden_units=512, positions="learned", tied="none"), (7853, 5893), 9_038_341),
        (Config(**PAPER, layers=4, width=128, heads=4, hidden_units=256), (9712, 9712), 2_568_192),
    ],
    ids=["base", "big", "multi30k", "multi30k_joint"],
)
def test_networks_have_the_published_numbers_of_parameters(config, sizes, parameters):
    assert count(config, *sizes, 100) == parameters


def test_padding_changes_nothing():
    module, variables = network()
    target = jax.random.randint(jax.random.key(1), (2, 7), 3, VOCABULARY)
    found = module.apply(variables, SOURCE, target, train=False)
    padded = module.apply(variables, jnp.pad(SOURCE, ((0, 0), (0, 4))), target, train=False)
    np.testing.assert_allclose(found, padded, atol=1e-5)


def test_the_decoder_sees_no_later_token_and_the_encoder_all():
    module, variables = network()
    target = jax.random.randint(jax.random.key(1), (2, 7), 3, VOCABULARY)

    def logits(source, target):
        return np.asarray(module.apply(variables, source, target, train=False))

    before, after = logits(SOURCE, target), logits(SOURCE, target.at[:, 4].set(3 + (target[:, 4] - 2) % 4))
    np.testing.assert_allclose(before[:, :4], after[:, :4], atol=1e-5)
    assert np.abs(before[:, 4:] - after[:, 4:]).max() > 1e-2
    assert np.abs(before[:, 0] - logits(SOURCE.at[:, 2].set(3), target)[:, 0]).max() > 1e-2


@pytest.mark.parametrize("changes", [{}, {"norm_first": True}, {"positions": "learned", "tied": "none"}])
def test_writing_token_by_token_equals_reading_all_at_once(changes):
    module, variables = network(**changes)
    target = jax.random.randint(jax.random.key(1), (2, 9), 3, VOCABULARY)
    wanted = module.apply(variables, SOURCE, target, train=False)
    logits, cache, mask = module.apply(variables, SOURCE, target[:, 0], 9, method="start")
    np.testing.assert_allclose(logits, wanted[:, 0], atol=1e-4)
    add = jax.jit(lambda token, at, cache: module.apply(variables, token, at, cache, 9, mask, method="add"))
    for position in range(1, 9):
        logits, cache = add(target[:, position], jnp.full(2, position), cache)
        np.testing.assert_allclose(logits, wanted[:, position], atol=1e-4)


def test_a_wide_beam_finds_the_most_probable_of_all_translations():
    module, variables = network()
    length, source = 3, SOURCE[:1]
    best, score = None, -np.inf
    for tokens in itertools.product(range(VOCABULARY), repeat=length):
        if END in tokens and set(tokens[tokens.index(END) :]) != {END}:
            continue
        target = jnp.array([[START, *tokens[:-1]]])
        log_probabilities = np.asarray(jax.nn.log_softmax(_apply(module, variables, source, target)))[0]
        written = length if END not in tokens else tokens.index(END) + 1
        total = sum(log_probabilities[i, tokens[i]] for i in range(written))
        if total > score:
            best, score = tokens, total
    search = {"start": START, "end": END, "length": length}
    beams = translate(module, variables, source, **search, width=VOCABULARY**2)
    assert tuple(beams.tokens[0, 0].tolist()) == best
    assert float(beams.scores[0, 0]) == pytest.approx(score, abs=1e-3)


@jax.jit
def _logits(variables, source, target):
    return Transformer(Config(**SMALL), VOCABULARY, VOCABULARY, 12).apply(variables, source, target, train=False)


def _apply(module, variables, source, target):
    del module
    return _logits(variables, source, target)


def test_a_length_penalty_orders_beams_by_their_penalised_scores():
    module, variables = network()
    search = {"start": START, "end": END, "length": 6, "width": 5}
    plain = translate(module, variables, SOURCE, **search)
    penalised = translate(module, variables, SOURCE, **search, length_penalty=2.0)
    lengths = 1 + (np.asarray(penalised.tokens) != END).sum(-1)
    scores = np.asarray(penalised.scores) / ((5 + lengths) / 6) ** 2
    assert (np.diff(scores, axis=1) <= 1e-6).all()
    np.testing.assert_allclose(np.sort(penalised.scores, axis=1), np.sort(plain.scores, axis=1), atol=1e-5)


def test_attention_weights_are_zero_at_padding():
    module, variables = network()
    memory, mask, of_source = module.apply(variables, SOURCE, weights=True, method="encode")
    target = jax.random.randint(jax.random.key(1), (2, 7), 3, VOCABULARY)
    _, (of_target, of_memory) = module.apply(variables, target, memory, mask, weights=True, method="decode")
    assert of_source.shape == (2, 2, 2, 6, 6)
    assert of_target.shape == (2, 2, 2, 7, 7)
    assert of_memory.shape == (2, 2, 2, 7, 6)
    for weights in (of_source, of_memory):
        assert (weights[:, 0, :, :, 4:] == 0).all()
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_one_vocabulary_for_both_languages_needs_equal_sizes():
    module, tokens = Transformer(Config(**SMALL, tied="all"), 7, 8, 12), jnp.ones((1, 4), jnp.int32)
    with pytest.raises(ConfigError, match="tied"):
        module.init(jax.random.key(0), tokens, tokens, train=False)
