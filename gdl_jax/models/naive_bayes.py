"""Distributions over categorical features, fitted by counting (book chapter 1).

Naive Bayes: features are independent, p(x) = prod_j theta_{j, x_j}. Multinomial: one probability per combination of
values, which is naive Bayes with the combination as the only feature. Both are fitted by theta = (n + a) / (N + a * K),
where n of N rows have the value and the feature has K values: maximum likelihood for a = 0, additive smoothing for
a > 0. (The book's denominator has K - 1, the number of free parameters; only with K do the probabilities sum to one.)
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
    # naive_bayes (independent features) or multinomial (one probability per combination of values)
    model: Annotated[str, OneOf("naive_bayes", "multinomial")] = "naive_bayes"
    smoothing: Annotated[float, AtLeast(0)] = 0.0  # added to each count; 0: maximum likelihood


class CountedModel(NamedTuple):
    """Distribution over rows of features, (B, F) int32, as functions of counts.

    Attributes:
      levels: number of values of each counted feature.
      count: features (B, F) -> counts (len(levels), max(levels)) int32; counts of batches are added.
      log_likelihood: (counts, features (B, F)) -> log p (B,); -inf where p is 0.
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
    """Returns log theta_{jk}, (F, K); -inf where the probability is 0, and beyond a feature's own values.

    Args:
      counts: (F, K), of at least one row.
      levels: number of values of each feature, at most K.
      smoothing: added to each count; at least 0.
    """
    chex.assert_shape(counts, (len(levels), None))
    sizes = jnp.asarray(levels)[:, None]
    smoothed = counts + smoothing * (jnp.arange(counts.shape[1]) < sizes)
    return jnp.log(smoothed) - jnp.log(counts.sum(1, keepdims=True) + smoothing * sizes)


def naive_bayes(levels: tuple[int, ...], smoothing: float) -> CountedModel:
    """Returns the model of independent features, with `levels` values each."""

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
      ConfigError: there are more than MOST_COMBINATIONS combinations.
    """
    if math.prod(levels) > MOST_COMBINATIONS:
        reason = f"{len(levels)} features have more than {MOST_COMBINATIONS} combinations, too many for a table"
        raise ConfigError("model", "multinomial", reason)
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
    """Returns the config's model for features with `levels` values each.

    Raises:
      ConfigError: unknown model, or negative smoothing.
    """
    if config.model not in MODELS:
        raise ConfigError("model", config.model, f"unknown; choose one of {', '.join(MODELS)}")
    if not 0 <= config.smoothing < math.inf:
        raise ConfigError("smoothing", config.smoothing, "must be at least 0")
    return MODELS[config.model](levels, config.smoothing)


class Categorical(nn.Module):
    """Categorical distributions of features with K values each, as a layer from values (B, F) to log p (B, F).

    Its parameters are the K - 1 free probabilities of each feature; the last probability is the remainder.
    """

    features: int
    levels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        free = self.param("theta", nn.initializers.constant(1 / self.levels), (self.features, self.levels - 1))
        theta = jnp.concatenate([free, 1 - free.sum(1, keepdims=True)], axis=1)
        return jnp.log(theta[jnp.arange(self.features), x])


class FreeParameters(nn.Module):
    """Network with the free parameters of a CountedModel, features (B, F) -> log p (B,); for layer tables and counts.

    Consecutive features with the same number of values are one layer.
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
