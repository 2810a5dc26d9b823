"""Text networks against NumPy restatements, and generation against one token at a time."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.models.text_rnn import Config, TextRNN, generate
from gdl_jax.nn.sampling import SamplingConfig
from tests.models.dropped import dropped_widths

V, E, H, B, C = 9, 3, 4, 5, 6
SMALL = Config(embedding_size=E, hidden_units=H)
TOKENS = np.random.default_rng(0).integers(0, V, (B, C)).astype(np.int32)
UNKNOWN = 0
NO_TOKEN = -1
RULES = {"unknown": UNKNOWN, "separator": NO_TOKEN}


def network(scale=1.0, **changes):
    """Returns the network, and random variables of the given scale, biases included."""
    module, rng = TextRNN(dataclasses.replace(SMALL, **changes), V), np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), TOKENS, train=False))
    return module, jax.tree.map(lambda leaf: scale * rng.normal(size=leaf.shape).astype(np.float32), shapes)


def lstm(params, xs):
    """(T, F) -> (T, H)."""
    h, c, states = np.zeros(H), np.zeros(H), []
    for x in xs:
        i, f, g, o = np.split(x @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"], 4)
        c = special.expit(f) * c + special.expit(i) * np.tanh(g)
        h = special.expit(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def gru(params, xs):
    """(T, F) -> (T, H), with the reset gate after the product."""
    h, states = np.zeros(H), []
    for x in xs:
        (z, r, a), (hz, hr, ha) = (
            np.split(sums, 3)
            for sums in (
                x @ params["kernel"] + params["bias"],
                h @ params["recurrent_kernel"] + params["recurrent_bias"],
            )
        )
        z, r = special.expit(z + hz), special.expit(r + hr)
        h = z * h + (1 - z) * np.tanh(a + r * ha)
        states.append(h)
    return np.array(states)


def predict(params, states):
    """(T, features) -> logits (T, V)."""
    if "words" in params:
        return states @ params["words"]["kernel"] + params["words"]["bias"]
    vectors = states @ params["to_vector"]["kernel"] + params["to_vector"]["bias"]
    return vectors @ params["embedding"]["embedding"].T + params["bias"]


def numpy_logits(config, params, tokens):
    """Returns logits after each token, (T, V); of a bidirectional network, after the last, (1, V)."""
    cell = {"lstm": lstm, "gru": gru}[config.cell]
    xs = params["embedding"]["embedding"][tokens]
    for i in range(config.layers):
        states = cell(params[f"forward_{i}"], xs)
        ends = states[-1:]
        if config.bidirectional:
            back = cell(params[f"backward_{i}"], xs[::-1])[::-1]
            ends = np.concatenate([states[-1:], back[:1]], axis=1)
            states = np.concatenate([states, back], axis=1)
        xs = states
    return predict(params, ends if config.bidirectional else states)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cell": "gru", "layers": 2},
        {"layers": 2, "tied": True},
        {"layers": 2, "bidirectional": True},
    ],
    ids=str,
)
def test_matches_a_numpy_restatement(changes):
    module, variables = network(**changes)
    expected = np.stack([numpy_logits(module.config, variables["params"], tokens) for tokens in TOKENS])
    last = jax.jit(partial(module.apply, train=False))(variables, TOKENS)
    np.testing.assert_allclose(last, expected[:, -1:], rtol=1e-4, atol=1e-4)
    if module.config.bidirectional:
        return
    every = TextRNN(dataclasses.replace(module.config, every_position=True), V)
    np.testing.assert_allclose(every.apply(variables, TOKENS, train=True), expected, rtol=1e-4, atol=1e-4)
    assert every.apply(variables, TOKENS, train=False).shape == (B, 1, V)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1_853_901),  # printed in the book's code
        ({"layers": 2}, 2_379_213),
        ({"cell": "gru", "reset_after": False}, 416_900 + 274_176 + 1_071_433),
        ({"bidirectional": True}, 416_900 + 2 * 365_568 + 2 * 256 * 4169 + 4169),
        ({"tied": True}, 416_900 + 365_568 + 256 * 100 + 100 + 4169),
    ],
    ids=str,
)
def test_parameter_counts(changes, count):
    module = TextRNN(Config(**changes), 4169)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), np.zeros((1, 20), np.int32), train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


def greedy(module, variables, tokens, steps, carried):
    """Returns the NumPy network's most probable tokens but UNKNOWN, given all tokens before or only the last C."""
    tokens = list(tokens)
    for _ in range(steps):
        context = np.array(tokens if carried else tokens[-C:])
        logits = numpy_logits(module.config, variables["params"], context)[-1]
        logits[UNKNOWN] = -np.inf
        tokens.append(int(logits.argmax()))
    return tokens[-steps:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "recompute_context", "carried"),
    [
        ({"layers": 2}, False, True),
        ({"cell": "gru"}, False, True),
        ({}, True, False),
        ({"bidirectional": True}, False, False),
    ],
    ids=["carried", "gru", "recomputed", "bidirectional"],
)
def test_greedy_generation_is_token_by_token(changes, recompute_context, carried):
    module, variables = network(scale=3.0, **changes)  # large enough that texts don't repeat one token
    options = {**RULES, "recompute_context": recompute_context}
    generated = generate(module, variables, jax.random.key(0), TOKENS, 12, SamplingConfig(0.0), **options)
    assert generated.shape == (B, 12)
    expected = [greedy(module, variables, tokens, 12, carried) for tokens in TOKENS]
    np.testing.assert_array_equal(generated, expected)
    other = [greedy(module, variables, tokens, 12, not carried) for tokens in TOKENS]
    assert module.config.bidirectional or expected != other  # the two ways differ here


@pytest.mark.slow
def test_sampling_config_is_per_row_and_unknown_is_never_sampled():
    module, variables = network()
    context = jnp.tile(TOKENS[:1], (3000, 1))
    sampling = SamplingConfig(jnp.repeat(jnp.array([0.0, 1.0, 1.0]), 1000), jnp.repeat(jnp.array([0, 0, 2]), 1000), 1.0)

    @jax.jit
    def sample(key):
        return generate(module, variables, key, context, 1, sampling, **RULES)

    drawn = np.asarray(sample(jax.random.key(1))).reshape(3, 1000)
    logits = numpy_logits(module.config, variables["params"], TOKENS[0])[-1]
    logits[UNKNOWN] = -np.inf
    shares = special.softmax(logits)
    assert set(drawn[0]) == {logits.argmax()}
    np.testing.assert_allclose(np.bincount(drawn[1], minlength=V) / 1000, shares, atol=0.06)
    assert set(drawn[2]) == set(np.argsort(shares)[-2:]) and UNKNOWN not in drawn


@pytest.mark.slow
@pytest.mark.parametrize("recompute_context", [False, True])
def test_separator_never_follows_itself(recompute_context):
    module, variables = network(scale=3.0)

    def generated(temperature, steps, **rules):
        sampling = SamplingConfig(temperature)
        return np.asarray(generate(module, variables, jax.random.key(0), TOKENS[:1], steps, sampling, **rules))[0]

    separator = int(generated(0.0, 1, **RULES)[0])  # the most probable token
    assert TOKENS[0, -1] != separator
    rules = {"unknown": UNKNOWN, "separator": separator, "recompute_context": recompute_context}
    drawn, greediest = generated(5.0, 12, **rules), generated(0.0, 12, **rules)
    assert greediest[0] == separator  # allowed after another token
    for tokens in (drawn, greediest):
        assert not ((tokens[1:] == separator) & (tokens[:-1] == separator)).any()


@pytest.mark.slow
def test_dropout_is_on_in_training_only():
    module, variables = network(dropout_rate=0.5, embedding_dropout_rate=0.5)
    rngs = {"dropout": jax.random.key(0)}
    expected = module.apply(variables, TOKENS, train=False)
    for changes in ({"dropout_rate": 0.0}, {"embedding_dropout_rate": 0.0}):
        other = TextRNN(dataclasses.replace(module.config, **changes), V)
        assert not np.allclose(other.apply(variables, TOKENS, train=True, rngs=rngs), expected)
    none = TextRNN(dataclasses.replace(module.config, dropout_rate=0.0, embedding_dropout_rate=0.0), V)
    np.testing.assert_array_equal(none.apply(variables, TOKENS, train=True, rngs=rngs), expected)


@pytest.mark.parametrize(("bidirectional", "widths"), [(False, [E, H, H]), (True, [E, 2 * H, 2 * H, 2 * H])])
def test_dropout_is_on_embeddings_and_layer_outputs(bidirectional, widths):
    module, variables = network(layers=2, bidirectional=bidirectional, dropout_rate=0.5)
    assert dropped_widths(module, variables, TOKENS) == widths


@pytest.mark.parametrize(
    "changes",
    [
        {"cell": "elman"},
        {"bidirectional": True, "every_position": True},
        {"dropout_rate": 1.0},
        {"embedding_dropout_rate": -0.1},
    ],
    ids=str,
)
def test_bad_hyperparameters_are_refused(changes):
    with pytest.raises(ConfigError) as error:
        network(**changes)
    assert error.value.field == next(iter(changes))


def test_unknown_activations_are_refused():
    with pytest.raises(UserError, match="recurrent_activation=tanhh"):
        network(recurrent_activation="tanhh")
