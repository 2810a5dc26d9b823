"""Frequencies of samples against exact probabilities, computed from sorted lists."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gdl_jax.nn.sampling import sample_logits

LOGITS = np.array([0.3, 2.0, -1.0, 1.1, 0.9, -3.0, 1.7], np.float32)
DRAWS = 20_000
draw = jax.jit(sample_logits)


def exact(logits, temperature=1.0, top_k=0, top_p=1.0):
    """Returns the exact probability of each value."""
    weights = np.exp(logits.astype(float) / temperature)
    ranked = sorted(range(len(logits)), key=lambda value: -weights[value])[: top_k or None]
    total, taken, kept = sum(weights[value] for value in ranked), 0.0, []
    for value in ranked:
        if kept and taken >= top_p * total:
            break
        kept.append(value)
        taken += weights[value]
    shares = np.zeros(len(logits))
    shares[kept] = weights[kept] / taken
    return shares


def check(tokens, shares):
    """Asserts that samples have these probabilities, by a chi-squared test."""
    counts = np.bincount(np.asarray(tokens), minlength=len(shares))
    assert not counts[shares == 0].any()
    if (shares > 0).sum() > 1:
        assert stats.chisquare(counts[shares > 0], shares[shares > 0] * counts.sum()).pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 2.5},
        {"top_k": 1},
        {"top_k": 3},
        {"top_k": 99},
        {"top_p": 0.5},
        {"top_p": 0.9},
        {"top_p": 0.0},
        {"top_k": 4, "top_p": 0.8},
        {"temperature": 0.7, "top_k": 5, "top_p": 0.85},
    ],
    ids=str,
)
def test_frequencies_match_probabilities(bounds):
    tokens = draw(jax.random.key(0), jnp.tile(LOGITS, (DRAWS, 1)), **bounds)
    assert tokens.shape == (DRAWS,) and tokens.dtype == jnp.int32
    check(tokens, exact(LOGITS, **bounds))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 99, 100, 101])
def test_frequencies_match_for_sizes_about_a_square(size):
    """A third of the values is impossible."""
    rng = np.random.default_rng(size)
    logits = rng.normal(size=size).astype(np.float32)
    logits[1::3] = -np.inf
    shares = np.exp(logits.astype(float))
    check(draw(jax.random.key(8), jnp.tile(logits, (200_000, 1))), shares / shares.sum())


@pytest.mark.slow
def test_top_p_applies_after_temperature_and_top_k():
    """Of shares 0.5, 0.3, 0.2, the first two have 0.625 and 0.375 of their sum; 25/34 and 9/34 at temperature 1/2."""
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    for bounds, kept in (
        ({"top_p": 0.6}, {1, 2}),
        ({"top_p": 0.6, "top_k": 2}, {1}),
        ({"top_p": 0.6, "temperature": 0.5}, {1}),
        ({"top_p": 0.6, "temperature": 0.5, "top_k": 3}, {1}),
        ({"top_p": 0.81, "top_k": 0}, {0, 1, 2}),
    ):
        tokens = draw(jax.random.key(1), jnp.tile(logits, (500, 1)), **bounds)
        assert set(np.asarray(tokens).tolist()) == kept, bounds


@pytest.mark.slow
def test_bounds_per_row_and_bounds_that_exclude_nothing():
    logits = jax.random.normal(jax.random.key(2), (4, DRAWS // 4, 9))
    rows = jnp.tile(LOGITS, (4, DRAWS // 4, 1))
    temperature = jnp.array([0.0, 0.5, 1.0, 1.0])[:, None]
    top_k, top_p = jnp.array([0, 0, 2, 0])[:, None], jnp.array([1.0, 1.0, 1.0, 0.7])[:, None]
    tokens = draw(jax.random.key(3), rows, temperature, top_k, top_p)
    assert (tokens[0] == LOGITS.argmax()).all()
    for row, bounds in zip(tokens[1:], ({"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.7}), strict=True):
        check(row, exact(LOGITS, **bounds))
    plain = draw(jax.random.key(4), logits)
    np.testing.assert_array_equal(draw(jax.random.key(4), logits, 1.0, 9, 0.9999999), plain)


@pytest.mark.parametrize("temperature", [0.0, 1e-30, 1e-6])
def test_low_temperatures_are_greedy(temperature):
    logits = jnp.tile(LOGITS * 50, (100, 1))
    assert (draw(jax.random.key(5), logits, temperature) == LOGITS.argmax()).all()
    assert (draw(jax.random.key(5), logits, temperature, 3, 0.9) == LOGITS.argmax()).all()


@pytest.mark.slow
def test_impossible_values_and_ties():
    impossible = LOGITS.copy()
    impossible[1] = -np.inf
    extreme = ({"temperature": temperature} for temperature in (0.0, 100.0, 1e38, np.inf))
    for bounds in ({}, *extreme, {"top_k": 7}, {"temperature": 1e38, "top_k": 3, "top_p": 0.9}):
        assert not (draw(jax.random.key(6), jnp.tile(impossible, (2000, 1)), **bounds) == 1).any()
    tokens = draw(jax.random.key(7), jnp.zeros((2000, 5)), 1.0, 2)
    assert set(np.asarray(tokens).tolist()) == {0, 1}


def test_one_program_serves_all_bounds():
    traces = []

    @jax.jit
    def counted(*arguments):
        traces.append(1)
        return sample_logits(*arguments)

    for bounds in ((1.0, 0, 1.0), (0.0, 3, 0.2), (0.3, 1, 1.0)):
        counted(jax.random.key(0), LOGITS, *bounds)
    assert len(traces) == 1
