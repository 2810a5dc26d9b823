"""Attention against NumPy sums over single examples and steps, with and without masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.nn.attention import AdditiveAttention, AttentionPool, masked_softmax

B, T, V, Q, UNITS = 3, 6, 5, 4, 7
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


VALUES, QUERY = normal(0, (B, T, V)), normal(1, (B, Q))
POOL = {"score": {"kernel": normal(2, (V, 1)), "bias": normal(3, (1,))}}
ADDITIVE = {
    "query": {"kernel": normal(4, (Q, UNITS))},
    "value": {"kernel": normal(5, (V, UNITS))},
    "score": {"kernel": normal(6, (UNITS, 1))},
}


def pool_score(b, value):
    del b
    return np.tanh(value @ POOL["score"]["kernel"][:, 0] + POOL["score"]["bias"][0])


def additive_score(b, value):
    hidden = np.tanh(QUERY[b] @ ADDITIVE["query"]["kernel"] + value @ ADDITIVE["value"]["kernel"])
    return hidden @ ADDITIVE["score"]["kernel"][:, 0]


def reference(score, mask):
    """Returns contexts (B, V) and weights (B, T)."""
    contexts, weights = np.zeros((B, V)), np.zeros((B, T))
    for b in range(B):
        steps = np.flatnonzero(mask[b])
        exponentials = [np.exp(float(score(b, VALUES[b, t]))) for t in steps]
        for t, exponential in zip(steps, exponentials, strict=True):
            weights[b, t] = exponential / sum(exponentials)
            contexts[b] += weights[b, t] * VALUES[b, t]
    return contexts, weights


def pool(values, mask):
    return AttentionPool().apply({"params": POOL}, values, mask)


def additive(values, mask):
    return AdditiveAttention(UNITS).apply({"params": ADDITIVE}, QUERY, values, mask)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("attend", "score"), [(pool, pool_score), (additive, additive_score)])
def test_contexts_and_weights_match_a_numpy_restatement(attend, score, masked):
    actual = jax.jit(attend)(VALUES, MASK if masked else None)
    expected = reference(score, MASK if masked else np.ones_like(MASK))
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("attend", [pool, additive])
def test_masked_values_have_no_influence(attend):
    unseen = np.where(MASK[..., None], VALUES, np.nan).astype(np.float32)
    for masked, plain in zip(attend(unseen, MASK.astype(np.float32)), attend(VALUES, MASK), strict=True):
        np.testing.assert_array_equal(masked, plain)
    gradient = jax.grad(lambda values: attend(values, MASK)[0].sum())(VALUES)
    assert (np.asarray(gradient != 0).any(-1) == MASK).all()


@pytest.mark.parametrize("attend", [pool, additive])
def test_a_fully_masked_row_has_a_context_of_zeros(attend):
    mask = MASK.copy()
    mask[1] = False
    context, weights = attend(VALUES, mask)
    assert not np.asarray(context[1]).any() and not np.asarray(weights[1]).any()
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), [1, 0, 1], rtol=1e-6)
    gradient = np.asarray(jax.grad(lambda values: attend(values, mask)[0].sum())(VALUES))
    assert np.isfinite(gradient).all() and not gradient[1].any() and gradient[0].any()


def test_projected_values_can_be_reused():
    layer, variables = AdditiveAttention(UNITS), {"params": ADDITIVE}
    projected = layer.apply(variables, VALUES, method="project")
    np.testing.assert_allclose(projected, VALUES @ ADDITIVE["value"]["kernel"], rtol=1e-5, atol=1e-6)
    for one, other in zip(layer.apply(variables, QUERY, VALUES, MASK, projected), additive(VALUES, MASK), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    # the argument is used, not recomputed
    other = layer.apply(variables, QUERY, VALUES, MASK, projected[:, ::-1])
    assert not np.allclose(other[1], additive(VALUES, MASK)[1], atol=1e-3)


def test_extreme_scores_in_bfloat16_stay_finite():
    weights = masked_softmax(jnp.array([[1e4, 0.0, -1e4]], jnp.bfloat16), None)
    np.testing.assert_array_equal(weights, [[1, 0, 0]])
    assert weights.dtype == jnp.float32


def test_parameter_counts():
    """Pooling has one parameter per channel and a bias; additive attention has three matrices."""

    def count(layer, *inputs):
        shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), *inputs))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    assert count(AttentionPool(), jnp.zeros((1, 32, 256))) == 257
    assert count(AdditiveAttention(UNITS), QUERY, VALUES) == UNITS * (Q + V + 1)
