"""Tests of scaled dot-product attention and its sparse patterns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.nn import dot_product_attention
from gdl_jax.nn.dot_product_attention import Causal, Fixed, Local, Strided, attention

PATTERNS = [Causal(), Local(4), Strided(4), Fixed(4, 2)]
LENGTHS = [12, 23, 3]  # a multiple of the blocks, not one, shorter than one


def random_qkv(length, key=0, size=5):
    return tuple(jax.random.normal(k, (2, length, 3, size)) for k in jax.random.split(jax.random.key(key), 3))


def by_numpy(q, k, v, mask):
    """Returns attention in float64, one query at a time; mask is (B, T, S)."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros(q.shape)
    for b, t, h in np.ndindex(*q.shape[:3]):
        allowed = np.flatnonzero(mask[b, t])
        if len(allowed):
            scores = k[b, allowed, h] @ q[b, t, h] / np.sqrt(q.shape[-1])
            weights = np.exp(scores - scores.max())
            out[b, t, h] = weights / weights.sum() @ v[b, allowed, h]
    return out


def test_attention_is_the_weighted_sum_of_values_under_any_mask():
    q, k, v = random_qkv(9)
    mask = np.random.default_rng(0).random((2, 9, 9)) < 0.4
    mask[0, 3] = False  # a query without keys
    found, weights = attention(q, k, v, jnp.asarray(mask)[:, None])
    np.testing.assert_allclose(found, by_numpy(q, k, v, mask), atol=1e-6)
    np.testing.assert_allclose(weights.sum(-1), np.broadcast_to(mask.any(-1)[:, None], (2, 3, 9)), atol=1e-6)


def test_a_query_without_keys_has_zeros_and_no_gradient():
    q, k, v = random_qkv(4)
    mask = jnp.array([True, True, False, True])[:, None] & jnp.ones((4, 4), bool)

    def of_the_empty_row(q, k, v):
        return attention(q, k, v, mask)[0][:, 2].sum()

    value, gradients = jax.value_and_grad(of_the_empty_row, (0, 1, 2))(q, k, v)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


def test_large_scores_do_not_overflow():
    q, k, v = random_qkv(5)
    found, gradient = jax.value_and_grad(lambda q: attention(1e4 * q, 1e4 * k, v)[0].sum())(q)
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: type(p).__name__)
def test_patterns_equal_dense_attention_under_their_masks(pattern, length):
    q, k, v = random_qkv(length)
    here = np.arange(length)
    mask = np.broadcast_to(np.asarray(pattern.allows(here[:, None], here)), (2, length, length))
    np.testing.assert_allclose(pattern.attend(q, k, v), by_numpy(q, k, v, mask), atol=1e-5)

    def dense(q, k, v):
        return (attention(q, k, v, jnp.asarray(mask)[:, None])[0] ** 2).sum()

    def sparse(q, k, v):
        return (pattern.attend(q, k, v) ** 2).sum()

    for wanted, found in zip(jax.grad(dense, (0, 1, 2))(q, k, v), jax.grad(sparse, (0, 1, 2))(q, k, v), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_patterns_are_those_of_the_paper():
    """Child et al. 2019, section 4.2: the sets of keys, written out for a short sequence."""
    here = np.arange(8)

    def keys(pattern, query):
        return here[np.asarray(pattern.allows(query, here))].tolist()

    assert keys(Causal(), 5) == [0, 1, 2, 3, 4, 5]
    assert keys(Local(3), 5) == [3, 4, 5]
    assert keys(Strided(3), 7) == [1, 4, 5, 6, 7]
    assert keys(Fixed(3, 1), 7) == [2, 5, 6, 7]
    assert keys(Fixed(3, 2), 4) == [1, 2, 3, 4]


@pytest.mark.parametrize("pattern", [Strided(4), Fixed(4, 2)], ids=lambda p: type(p).__name__)
def test_keys_of_a_position_are_those_that_the_pattern_allows(pattern):
    length = 22
    positions = jnp.arange(length)
    index, mask = (np.asarray(x) for x in pattern.keys(positions, length))
    for position in range(length):
        listed = index[position][mask[position]]
        assert len(set(listed)) == len(listed)
        assert sorted(listed) == np.flatnonzero(np.asarray(pattern.allows(position, np.arange(length)))).tolist()


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: type(p).__name__)
def test_dropout_acts_on_the_weights(pattern):
    q, k, v = random_qkv(8)
    np.testing.assert_allclose(pattern.attend(q, k, v, lambda weights: 2 * weights), 2 * pattern.attend(q, k, v), 1e-5)


def test_memory_of_sparse_patterns_grows_more_slowly():
    def scores(pattern, length):
        q, k, v = random_qkv(length)
        jaxpr = jax.make_jaxpr(pattern.attend)(q, k, v)
        return max(max((var.aval.size for var in eqn.outvars), default=0) for eqn in jaxpr.jaxpr.eqns)

    assert scores(Causal(), 1024) > 3.9 * scores(Causal(), 512)
    for pattern in (Local(16), Strided(32)):
        assert scores(pattern, 1024) < 3 * scores(pattern, 512)
        assert scores(pattern, 1024) < scores(Causal(), 1024) / 6


def test_a_fused_kernel_gets_what_it_computes_and_dropout_does_without(monkeypatch):
    calls, plain = [], jax.nn.dot_product_attention

    def fused(q, k, v, *, is_causal, implementation):
        calls.append(implementation)
        return plain(q, k, v, is_causal=is_causal)

    q, k, v = (jax.random.normal(key, (2, 9, 3, 8)) for key in jax.random.split(jax.random.key(0), 3))
    expected = Causal().attend(q, k, v)
    monkeypatch.setattr(dot_product_attention, "has_fused_kernel", lambda dtype, width: True)
    monkeypatch.setattr(jax.nn, "dot_product_attention", fused)
    np.testing.assert_allclose(Causal().attend(q, k, v), expected, atol=1e-5)
    assert calls == ["cudnn"]
    Causal().attend(q, k, v, lambda weights: weights)
    assert len(calls) == 1


def test_processors_have_no_fused_kernel():
    assert jax.default_backend() != "cpu" or not dot_product_attention.has_fused_kernel(jnp.bfloat16, 64)
