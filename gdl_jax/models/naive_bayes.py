"""Distributions over categorical features, fitted by counting (book chapter 1).

Naive Bayes: features are independent, p(x) = prod_j theta_{j, x_j}. Multinomial: one probability for each combination,
which is the same with a single feature, the combination. Both are fitted by theta = (n + a) / (N + a * K), for n of N
rows with a value and K values: maximum likelihood for a = 0, additive smoothing above. (The book prints its denominator
with K - 1, the number of free parameters; only K makes the probabilities sum to one.)
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, OneOf
from gdl_jax.core.errors import ConfigError

MOST_COMBINATIONS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Config:
    # naive_bayes (independent features), or multinomial (a probability a combination)
    model: Annotated[str, OneOf("naive_bayes", "multinomial")] = "naive_bayes"
    smoothing: Annotated[float, AtLeast(0)] = 0.0  # added to each count; 0: maximum likelihood


class CountedModel(NamedTuple):
    """A distribution over rows of features, (B, F) int32, as functions of counts.

    Attributes:
      levels: how many values each counted feature has.
      count: features (B, F) -> counts (len(levels), max(levels)) int32; counts of several batches add up.
      log_likelihood: (counts, features (B, F)) -> log p (B,); -inf where impossible.
      sample: (counts, key, num) -> features (num, F).
    """

    levels: tuple[int, ...]
    count: Callable[[jax.Array], jax.Array]
    log_likelihood: Callable[[jax.Array, jax.Array], jax.Array]
    sample: Callable[[jax.Array, jax.Array, int], jax.Array]


def count(features: jax.Array, levels: tuple[int, ...]) -> jax.Array:
    """Returns n_{jk}, the number of rows whose feature j is k: (B, F) -> (F, max(levels)) int32."""
    chex.assert_shape(features, (None, len(levels)))
    table = jnp.zeros((len(levels), max(levels)), jnp.int32)
    return table.at[jnp.arange(len(levels)), features].add(1)


def log_probabilities(counts: jax.Array, levels: tuple[int, ...], smoothing: float) -> jax.Array:
    """Returns log theta_{jk}, (F, K); -inf for what never occurs, and beyond a feature's own values.

    Args:
      counts: (F, K) with at least one row counted.
      levels: how many of the K columns each feature has.
      smoothing: added to each count; at least 0.
    """
    chex.assert_shape(counts, (len(levels), None))
    sizes = jnp.asarray(levels)[:, None]
    smoothed = counts + smoothing * (jnp.arange(counts.shape[1]) < sizes)
    return jnp.log(smoothed) - jnp.log(counts.sum(1, keepdims=True) + smoothing * sizes)


def naive_bayes(levels: tuple[int, ...], smoothing: float) -> CountedModel:
    """Returns the model of independent features with `levels` values each."""

    def log_likelihood(counts, features):
        table = log_probabilities(counts, levels, smoothing)
        return table[jnp.arange(len(levels)), features].sum(axis=1)

    def sample(counts, key, num):
        table = log_probabilities(counts, levels, smoothing)
        return jax.random.categorical(key, table, shape=(num, len(levels)))

    return CountedModel(levels, lambda features: count(features, levels), log_likelihood, sample)


def multinomial(levels: tuple[int, ...], smoothing: float) -> CountedModel:
    """Returns the model with one probability for each of the prod(levels) combinations.

    Raises:
      ConfigError: there are more combinations than can be counted.
    """
    if math.prod(levels) > MOST_COMBINATIONS:
        raise ConfigError("model", "multinomial", f"{len(levels)} features have too many combinations for a table")
    joint = naive_bayes((math.prod(levels),), smoothing)

    def combination(features):
        return jnp.ravel_multi_index(tuple(features.T), levels, mode="clip")[:, None]

    return CountedModel(
        joint.levels,
        count=lambda features: joint.count(combination(features)),
        log_likelihood=lambda counts, features: joint.log_likelihood(counts, combination(features)),
        sample=lambda counts, key, num: jnp.stack(jnp.unravel_index(joint.sample(counts, key, num)[:, 0], levels), 1),
    )


MODELS = {"naive_bayes": naive_bayes, "multinomial": multinomial}


def make_model(config: Config, levels: tuple[int, ...]) -> CountedModel:
    """Returns the model that the config names, for features with `levels` values each.

    Raises:
      ConfigError: unknown model, or negative smoothing.
    """
    if config.model not in MODELS:
        raise ConfigError("model", config.model, f"unknown; choose one of {', '.join(MODELS)}")
    if not 0 <= config.smoothing < math.inf:
        raise ConfigError("smoothing", config.smoothing, "must be at least 0")
    return MODELS[config.model](levels, config.smoothing)


class Categorical(nn.Module):
    """log p of the given values of some features with K values each: (B, F) -> (B, F).

    Its parameters are the free probabilities, K - 1 a feature; the last value has what remains.
    """

    features: int
    levels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        free = self.param("theta", nn.initializers.constant(1 / self.levels), (self.features, self.levels - 1))
        theta = jnp.concatenate([free, 1 - free.sum(1, keepdims=True)], axis=1)
        return jnp.log(theta[jnp.arange(self.features), x])


class FreeParameters(nn.Module):
    """The free parameters of a CountedModel as a network: features (B, F) -> log p (B,). For layer tables and counts.

    Features that follow each other and have as many values are one layer.
    """

    levels: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        del train
        chex.assert_shape(x, (None, len(self.levels)))
        groups, first = [], 0
        for values, group in itertools.groupby(self.levels):
            last = first + len(list(group))
            groups.append(Categorical(last - first, values, name=f"feature_{first}")(x[:, first:last]))
            first = last
        return jnp.concatenate(groups, axis=1).sum(axis=1)
