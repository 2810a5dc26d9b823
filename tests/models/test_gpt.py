"""Tests of the GPT network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.models.gpt import GPT, PATTERNS, Config, generate
from gdl_jax.nn.sampling import SamplingConfig

VOCABULARY = 11
SMALL = {"layers": 3, "heads": 2, "width": 16, "dropout_rate": 0.0, "attention_stride": 4, "attention_summary": 2}
GREEDY = SamplingConfig(0.0)


def network(attention="causal", context=24, **changes):
    """Returns a small network with large random parameters, whose outputs vary, and tokens for it."""
    module = GPT(Config(context=context, attention=attention, **SMALL | changes), VOCABULARY)
    tokens = jax.random.randint(jax.random.key(1), (3, context - 1), 0, VOCABULARY)
    variables = jax.jit(lambda: module.init(jax.random.key(0), tokens, train=False))()
    noise = iter(jax.random.split(jax.random.key(2), len(jax.tree.leaves(variables))))
    return module, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(next(noise), x.shape), variables), tokens


def count(config, vocabulary):
    module = GPT(config, vocabulary)
    tokens = jax.ShapeDtypeStruct((1, 8), jnp.int32)
    shapes = jax.eval_shape(lambda tokens: module.init(jax.random.key(0), tokens, train=False), tokens)
    return sum(x.size for x in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("layers", "heads", "width", "parameters"),
    [
        (12, 12, 768, 124_439_808),
        (24, 16, 1024, 354_823_168),
        (36, 20, 1280, 774_030_080),
        (48, 25, 1600, 1_557_611_200),
    ],
)
def test_the_published_sizes_have_the_published_numbers_of_parameters(layers, heads, width, parameters):
    assert count(Config(layers=layers, heads=heads, width=width), 50_257) == parameters


def test_nanogpts_small_networks_have_its_numbers_of_parameters():
    assert count(Config(context=256, layers=6, heads=6, width=384, bias=False), 65) == 10_745_088
    assert count(Config(context=64, layers=4, heads=4, width=128, bias=False), 65) == 804_096


def layer_norm(x, scale, bias):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def by_numpy(variables, tokens):
    """Returns logits (T, V) of one sequence, in float64, by the equations of GPT-2."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    x = p["tokens"]["embedding"][tokens] + p["positions"]["embedding"][: len(tokens)]
    mask = np.tril(np.ones((len(tokens), len(tokens)), bool))
    for layer in range(SMALL["layers"]):
        block = jax.tree.map(lambda x: x[layer], p["layers"]["block"])  # noqa: B023
        y = layer_norm(x, **block["attention_norm"])
        q, k, v = np.split(y @ block["qkv"]["kernel"] + block["qkv"]["bias"], 3, axis=-1)
        heads = []
        for head in np.split(np.arange(SMALL["width"]), SMALL["heads"]):
            scores = np.where(mask, q[:, head] @ k[:, head].T / np.sqrt(len(head)), -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, head])
        x = x + np.concatenate(heads, -1) @ block["attention_out"]["kernel"] + block["attention_out"]["bias"]
        y = gelu(layer_norm(x, **block["norm"]) @ block["hidden"]["kernel"] + block["hidden"]["bias"])
        x = x + y @ block["out"]["kernel"] + block["out"]["bias"]
    return layer_norm(x, **p["norm"]) @ p["tokens"]["embedding"].T


def test_logits_are_those_of_gpt2s_equations():
    module, variables, tokens = network()
    logits = module.apply(variables, tokens, train=False)
    for row, found in zip(tokens, logits, strict=True):
        np.testing.assert_allclose(found, by_numpy(variables, row), atol=2e-4)


@pytest.mark.parametrize("attention", PATTERNS)
def test_reading_token_by_token_equals_reading_all_at_once(attention):
    """Prompts of unequal length are read in one pass, then one token at a time with the cache."""
    module, variables, tokens = network(attention)
    size, rows, position = tokens.shape[1], jnp.arange(3), jnp.array([3, 9, 5])
    wanted = module.apply(variables, tokens, train=False)
    read = jax.jit(lambda tokens, lengths: module.apply(variables, tokens, lengths, size, method="read"))
    add = jax.jit(lambda token, at, cache: module.apply(variables, token, at, cache, size, method="add"))
    logits, cache = read(tokens[:, :10], position)
    np.testing.assert_allclose(logits, wanted[rows, position - 1], atol=1e-4)
    for _ in range(size - 9):
        logits, cache = add(tokens[rows, position], position, cache)
        np.testing.assert_allclose(logits, wanted[rows, position], atol=1e-4)
        position += 1


def varied(variables):
    """Returns larger parameters, with which a network does not repeat one token."""
    return jax.tree.map(lambda x: 3 * x, variables)


def continued(module, variables, text, steps):
    """Returns the likeliest continuation of a text, reading all of it again for each token."""
    size = len(text) + steps
    predict = jax.jit(lambda tokens: module.apply(variables, tokens[None], train=False)[0])
    padded = np.zeros(min(size, module.config.context), np.int32)
    for at in range(len(text), size):
        padded[: len(text)] = text
        text = np.append(text, np.argmax(predict(padded)[at - 1]))
    return text[-steps:]


@pytest.mark.parametrize("attention", ["causal", "local"])
def test_generation_equals_generation_without_a_cache(attention):
    module, variables, tokens = network(attention)
    variables, lengths = varied(variables), np.array([4, 7, 6])
    found = generate(module, variables, jax.random.key(0), tokens[:, :7], jnp.array(lengths), 12, GREEDY)
    for row, length, generated in zip(tokens, lengths, found, strict=True):
        wanted = continued(module, variables, np.asarray(row[:length]), 12)
        np.testing.assert_array_equal(generated, wanted)
    assert len(np.unique(found)) > 2


def test_generation_past_the_context_continues_from_the_last_half_of_it():
    module, variables, tokens = network(context=8)
    variables = varied(variables)
    found = generate(module, variables, jax.random.key(0), tokens[:1, :6], jnp.array([6]), 11, GREEDY)[0]
    text, kept = np.asarray(tokens[0, :6]), 4
    while len(text) < 17:
        text = np.append(text, continued(module, variables, text[-kept:], 8 + 1 - kept))
    np.testing.assert_array_equal(found, text[6:17])
    assert len(np.unique(found)) > 2


def test_one_more_token_is_predicted_from_the_whole_context():
    module, variables, tokens = network(context=8)
    prompt = jnp.concatenate([tokens[:1], tokens[:1]], axis=1)  # 14 tokens
    found = generate(module, variables, jax.random.key(0), prompt, jnp.array([14]), 1, GREEDY)
    wanted = module.apply(variables, prompt[:, -8:], train=False)[0, -1].argmax()
    assert int(found[0, 0]) == int(wanted)


def test_attention_weights_are_returned_for_every_layer_and_pattern():
    module, variables, tokens = network("strided")
    states, weights = module.apply(variables, tokens, train=False, weights=True, method="states")
    assert weights.shape == (3, 3, 2, 23, 23)
    here = np.arange(23)
    allowed = np.asarray((here <= here[:, None]) & ((here[:, None] - here < 4) | ((here[:, None] - here) % 4 == 0)))
    np.testing.assert_array_equal(weights > 0, np.broadcast_to(allowed, weights.shape))
    logits = module.apply(variables, states, method="predict")
    np.testing.assert_allclose(logits, module.apply(variables, tokens, train=False), atol=1e-4)


@pytest.mark.parametrize("changes", [{"remat": True}, {"unroll": 3}])
def test_saving_memory_or_unrolling_changes_no_gradient(changes):
    module, variables, tokens = network()
    other = GPT(Config(context=24, **SMALL | changes), VOCABULARY)

    def gradient(module):
        return jax.jit(jax.grad(lambda v: (module.apply(v, tokens, train=True) ** 2).mean()))(variables)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient(module), gradient(other))


def test_dropout_acts_in_training_only():
    module, variables, tokens = network(dropout_rate=0.5)

    def apply(train, key):
        return module.apply(variables, tokens, train=train, rngs={"dropout": jax.random.key(key)})

    np.testing.assert_array_equal(apply(False, 0), apply(False, 1))
    assert np.abs(apply(True, 0) - apply(True, 1)).max() > 0.1


@pytest.mark.parametrize(
    ("changes", "flag"),
    [({"heads": 3}, "heads"), ({"attention": "fixed", "attention_summary": 5}, "attention_summary")],
)
def test_impossible_shapes_are_refused_by_name(changes, flag):
    with pytest.raises(ConfigError, match=flag):
        network(**changes)


def test_more_tokens_than_the_context_are_refused():
    module, variables, tokens = network()
    with pytest.raises(ConfigError, match="context"):
        module.apply(variables, jnp.concatenate([tokens, tokens], axis=1), train=False)
