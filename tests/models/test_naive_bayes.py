"""Naive Bayes and multinomial models against NumPy and the book's numbers."""

import collections
import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.images import wrodl
from gdl_jax.models import naive_bayes
from gdl_jax.models.naive_bayes import Config, FreeParameters, make_model

TRAIN = wrodl.load().train.take(np.arange(50))["features"]
ALL_COMBINATIONS = np.array(list(itertools.product(*map(range, wrodl.LEVELS))), np.int32)


def fitted(name, smoothing=0.0, levels=wrodl.LEVELS, rows=TRAIN):
    model = make_model(Config(model=name, smoothing=smoothing), levels)
    return model, jax.jit(model.count)(jnp.asarray(rows))


def probabilities(name, smoothing, rows=ALL_COMBINATIONS):
    model, counts = fitted(name, smoothing)
    return np.exp(np.asarray(jax.jit(model.log_likelihood)(counts, jnp.asarray(rows)), np.float64))


def numpy_probability(row, smoothing):
    shares = [
        (sum(TRAIN[:, j] == row[j]) + smoothing) / (len(TRAIN) + smoothing * levels)
        for j, levels in enumerate(wrodl.LEVELS)
    ]
    return math.prod(shares)


def test_counts_match_numpy():
    _, counts = fitted("naive_bayes")
    assert counts.dtype == jnp.int32
    for row, column, levels in zip(np.asarray(counts), TRAIN.T, wrodl.LEVELS, strict=True):
        np.testing.assert_array_equal(row, np.bincount(column, minlength=counts.shape[1]))
        assert row[levels:].sum() == 0


def test_probabilities_are_the_books():
    twice, never = probabilities("naive_bayes", 0.0, wrodl.encode([wrodl.SEEN_TWICE, wrodl.NEVER_SEEN]))
    assert twice == pytest.approx(0.46 * 0.16 * 0.44 * 0.38 * 0.44, rel=1e-5)
    assert round(twice, 4) == 0.0054 and never == pytest.approx(0.000984, abs=5e-7)
    p = probabilities("naive_bayes", 0.0)
    assert (p > 0).sum() == 3024
    assert p.max() == pytest.approx(0.016244, abs=5e-7)
    assert stats.entropy(p) == pytest.approx(6.8114, abs=5e-5)
    twice, never = probabilities("multinomial", 0.0, wrodl.encode([wrodl.SEEN_TWICE, wrodl.NEVER_SEEN]))
    assert twice == pytest.approx(2 / 50) and never == 0.0


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0, 10.0])
def test_naive_bayes_matches_products_of_smoothed_shares(smoothing):
    rows = ALL_COMBINATIONS[::97]
    expected = [numpy_probability(row, smoothing) for row in rows]
    np.testing.assert_allclose(probabilities("naive_bayes", smoothing, rows), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_multinomial_matches_smoothed_shares_of_combinations(smoothing):
    seen = collections.Counter(map(tuple, TRAIN.tolist()))
    expected = [(seen[tuple(row)] + smoothing) / (50 + smoothing * 4032) for row in ALL_COMBINATIONS.tolist()]
    np.testing.assert_allclose(probabilities("multinomial", smoothing), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["naive_bayes", "multinomial"])
@pytest.mark.parametrize("smoothing", [0.0, 0.5, 1.0, 100.0])
def test_probabilities_of_all_combinations_sum_to_one(name, smoothing):
    assert probabilities(name, smoothing).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["naive_bayes", "multinomial"])
def test_counts_of_batches_add_up(name):
    model, whole = fitted(name)
    parts = sum(jax.jit(model.count)(jnp.asarray(part)) for part in np.split(TRAIN, [10, 20, 30, 40]))
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naive_bayes", "multinomial"])
def test_sample_frequencies_match_probabilities(name):
    model, counts = fitted(name)
    drawn = np.asarray(jax.jit(model.sample, static_argnums=2)(counts, jax.random.key(0), 5_000))
    assert drawn.shape == (5_000, 5)
    index = np.ravel_multi_index(drawn.T, wrodl.LEVELS)
    observed = np.bincount(index, minlength=4032)
    expected = 5_000 * probabilities(name, 0.0)
    assert observed[expected == 0].sum() == 0
    common = expected >= 5
    pooled_observed = np.append(observed[common], observed[~common].sum())
    pooled_expected = np.append(expected[common], expected[~common].sum())
    keep = pooled_expected > 0
    test = stats.chisquare(pooled_observed[keep], pooled_expected[keep] * 5_000 / pooled_expected.sum())
    assert test.pvalue > 1e-3


def test_a_thousand_features_of_256_values():
    rows = np.random.default_rng(0).integers(0, 256, (300, 1024))
    model, counts = fitted("naive_bayes", 0.5, (256,) * 1024, rows)
    log_p = np.asarray(jax.jit(model.log_likelihood)(counts, jnp.asarray(rows[:5])))
    shares = np.stack([np.bincount(column, minlength=256) for column in rows.T]) + 0.5
    expected = np.log(shares[np.arange(1024), rows[:5]] / (300 + 128)).sum(1)
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("levels", "number"), [(wrodl.LEVELS, 23), ((4032,), 4031), ((256,) * 1024, 261_120), ((2, 2, 3, 2), 5)]
)
def test_free_parameter_counts(levels, number):
    module = FreeParameters(levels)
    x = jnp.zeros((1, len(levels)), jnp.int32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == number == sum(k - 1 for k in levels)


def test_free_parameters_reproduce_the_model():
    model, counts = fitted("naive_bayes", 1.0)
    theta = np.exp(naive_bayes.log_probabilities(counts, wrodl.LEVELS, 1.0))
    rows = jnp.asarray(ALL_COMBINATIONS[::50])
    params = {f"feature_{j}": {"theta": theta[j : j + 1, : levels - 1]} for j, levels in enumerate(wrodl.LEVELS)}
    log_p = jax.jit(partial(FreeParameters(wrodl.LEVELS).apply, train=False))({"params": params}, rows)
    np.testing.assert_allclose(log_p, jax.jit(model.log_likelihood)(counts, rows), rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "levels", "field"),
    [
        (Config(model="gaussian"), (2, 2), "model"),
        (Config(smoothing=-1.0), (2, 2), "smoothing"),
        (Config(smoothing=math.nan), (2, 2), "smoothing"),
        (Config(model="multinomial"), (256,) * 1024, "model"),
    ],
)
def test_bad_hyperparameters_are_refused(config, levels, field):
    with pytest.raises(ConfigError) as error:
        make_model(config, levels)
    assert error.value.field == field
