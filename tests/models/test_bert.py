"""Tests of BERT's network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.models.bert import BERT, Config, Pretraining

UNCASED, CASED = 30_522, 28_996
SMALL = Config(layers=2, heads=2, width=16, hidden_units=24, positions=12, dropout_rate=0.2)
VOCABULARY = 23


def with_pooler(module, *inputs, train):
    return module.pool(module(*inputs, train=train))


def count(module, method, *inputs):
    def init():
        return module.init(jax.random.key(0), *inputs, train=False, method=method)

    return sum(x.size for x in jax.tree.leaves(jax.eval_shape(init)))


def counts(config, vocabulary):
    """Returns the numbers of parameters: encoder, with pooler, with the words' head instead, with all heads."""
    inputs = jnp.zeros((1, 8), jnp.int32), jnp.zeros((1, 8), jnp.int32), jnp.ones((1, 8), bool)
    bert, whole = BERT(config, vocabulary), Pretraining(config, vocabulary)
    return (
        count(bert, "__call__", *inputs),
        count(bert, with_pooler, *inputs),
        count(whole, "masked_words", *inputs),
        count(whole, "__call__", *inputs, jnp.zeros((1, 3), jnp.int32)),
    )


@pytest.mark.parametrize(
    ("layers", "width", "heads", "vocabulary", "parameters"),
    [
        pytest.param(2, 128, 2, UNCASED, (4_369_408, 4_385_920, 4_416_698, 4_433_468), id="tiny"),
        pytest.param(4, 256, 4, UNCASED, (11_104_768, 11_170_560, 11_201_594, 11_267_900), id="mini"),
        pytest.param(4, 512, 8, UNCASED, (28_500_992, 28_763_648, 28_795_194, 29_058_876), id="small"),
        pytest.param(8, 512, 8, UNCASED, (41_110_528, 41_373_184, 41_404_730, 41_668_412), id="medium"),
        pytest.param(12, 768, 12, UNCASED, (108_891_648, 109_482_240, 109_514_298, 110_106_428), id="base"),
        pytest.param(12, 768, 12, CASED, (107_719_680, 108_310_272, 108_340_804, 108_932_934), id="base_cased"),
        pytest.param(24, 1024, 16, UNCASED, (334_092_288, 335_141_888, 335_174_458, 336_226_108), id="large"),
    ],
)
def test_the_published_sizes_have_the_published_numbers_of_parameters(layers, width, heads, vocabulary, parameters):
    config = Config(layers=layers, width=width, heads=heads, hidden_units=4 * width)
    assert counts(config, vocabulary) == parameters


def test_minilm_has_its_number_of_parameters():
    config = Config(layers=6, width=384, heads=12, hidden_units=1536)
    assert counts(config, UNCASED)[:2] == (22_565_376, 22_713_216)


def example(length=9, batch=3):
    """Returns random inputs of the network, whose rows have different lengths."""
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(rng.integers(0, VOCABULARY, (batch, length)), jnp.int32)
    segments = jnp.asarray(rng.integers(0, 2, (batch, length)), jnp.int32)
    return tokens, segments, jnp.arange(length) < jnp.array([length, length - 2, 4])[:batch, None]


@pytest.fixture(scope="module")
def network():
    """The network with heads and large random parameters, whose outputs vary."""
    module, positions = Pretraining(SMALL, VOCABULARY), jnp.zeros((3, 2), jnp.int32)
    variables = jax.jit(lambda: module.init(jax.random.key(0), *example(), positions, train=False))()
    keys = iter(jax.random.split(jax.random.key(2), len(jax.tree.leaves(variables))))
    return module, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(keys), x.shape), variables)


def read(network, inputs, **options):
    module, variables = network
    variables = {"params": variables["params"]["bert"]}
    return BERT(module.config, VOCABULARY).apply(variables, *inputs, method="read", train=False, **options)


def test_what_stands_in_padding_changes_nothing(network):
    tokens, segments, mask = example()
    found, _ = read(network, (tokens, segments, mask))
    other, _ = read(network, (jnp.where(mask, tokens, 5), jnp.where(mask, segments, 1), mask))
    np.testing.assert_allclose(np.where(mask[..., None], found - other, 0), 0, atol=1e-5)


def test_every_token_sees_those_on_both_sides(network):
    tokens, segments, mask = example()
    found, _ = read(network, (tokens, segments, mask))
    changed, _ = read(network, (tokens.at[0, 4].add(1), segments, mask))
    differ = np.abs(np.asarray(found - changed)).max(-1) > 1e-4
    assert differ[0].all()
    assert not differ[1:].any()


def test_segments_matter(network):
    tokens, segments, mask = example()
    found, _ = read(network, (tokens, segments, mask))
    assert np.abs(np.asarray(found - read(network, (tokens, 1 - segments, mask))[0])).max() > 0.1


def test_attention_weights_are_distributions_over_real_tokens(network):
    _, _, mask = inputs = example()
    _, weights = read(network, inputs, weights=True)
    assert weights.shape == (2, 3, 2, 9, 9)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert np.asarray(weights)[:, np.broadcast_to(~mask[:, None, None], weights.shape[1:])].max() == 0


def test_words_are_predicted_at_the_chosen_positions_alone(network):
    module, variables = network
    inputs, positions = example(), jnp.array([[3, 0], [1, 5], [2, 2]])
    found = module.apply(variables, *inputs, positions, train=False)
    everywhere = module.apply(variables, *inputs, train=False, method="masked_words")
    assert found.words.shape == (3, 2, VOCABULARY)
    assert found.next.shape == (3, 2)
    np.testing.assert_allclose(found.words, np.take_along_axis(everywhere, positions[..., None], 1), atol=1e-5)


def test_dropout_is_on_in_training_only(network):
    module, variables = network
    positions = jnp.zeros((3, 2), jnp.int32)

    def words(train, seed=0):
        rngs = {"dropout": jax.random.key(seed)}
        return np.asarray(module.apply(variables, *example(), positions, train=train, rngs=rngs).words)

    np.testing.assert_array_equal(words(False), words(False, 1))
    assert np.abs(words(True) - words(True, 1)).max() > 0.1


def test_computes_in_bfloat16_with_logits_in_float32(network):
    module, variables = network
    half = Pretraining(SMALL, VOCABULARY, jnp.bfloat16)
    inputs = (*example(), jnp.zeros((3, 2), jnp.int32))
    found, wanted = (one.apply(variables, *inputs, train=False) for one in (half, module))
    assert found.words.dtype == found.next.dtype == jnp.float32
    np.testing.assert_allclose(found.words, wanted.words, atol=0.1 * np.abs(wanted.words).max())


def test_longer_sequences_than_positions_are_refused():
    inputs = jnp.zeros((1, 13), jnp.int32), jnp.zeros((1, 13), jnp.int32), jnp.ones((1, 13), bool)
    with pytest.raises(ConfigError, match="positions"):
        BERT(SMALL, VOCABULARY).init(jax.random.key(0), *inputs, train=False)
