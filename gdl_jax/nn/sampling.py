"""Draws from a categorical distribution that was made bolder or more cautious."""

import math

import jax
import jax.numpy as jnp
from jax import lax

Number = jax.Array | float


def sample_logits(
    key: jax.Array,
    logits: jax.Array,
    temperature: Number = 1.0,
    top_k: jax.Array | int = 0,
    top_p: Number = 1.0,
) -> jax.Array:
    """Draws one value for each row of logits.

    The logits are divided by the temperature; of what they then say, the `top_k` most probable values are kept, and of
    those again the fewest that have `top_p` of their probability together (Holtzman et al. 2020). The three may be
    traced: one compiled program serves all of them. What is drawn does not change with bounds that exclude nothing.

    Args:
      key: for all rows.
      logits: (..., V), not normalised; values of minus infinity are never drawn where there are others.
      temperature: () or (...), at least 0, finite; 1 leaves the distribution as it is, 0 is the most probable value.
      top_k: () or (...), integers; 0: all.
      top_p: () or (...), in [0, 1]; 1: all. At least one value is kept.

    Returns:
      (...), int32 in [0, V).
    """
    logits = logits.astype(jnp.float32)
    temperature, top_k, top_p = (jnp.asarray(bound)[..., None] for bound in (temperature, top_k, top_p))
    # From the largest: whatever the temperature, no quotient overflows.
    scaled = (logits - logits.max(axis=-1, keepdims=True)) / jnp.where(temperature > 0, temperature, 1.0)
    scaled = jnp.where(logits == -jnp.inf, -jnp.inf, scaled)  # by whatever temperature it was divided
    bounded = jnp.any(top_k > 0) | jnp.any(top_p < 1)  # to find them takes longer than all else here
    scaled = lax.cond(bounded, lambda x: jnp.where(_most_probable(x, top_k, top_p), x, -jnp.inf), lambda x: x, scaled)
    drawn = _draw(key, jnp.exp(scaled))
    return jnp.where(temperature[..., 0] > 0, drawn, logits.argmax(axis=-1)).astype(jnp.int32)


def _draw(key: jax.Array, weights: jax.Array) -> jax.Array:
    """Draws one of V by weights (..., V), which are at least 0 and not all 0.

    First one of sqrt(V) blocks, then one of the block: two random numbers a row. Random numbers for all V, and the
    largest of Gumbel's (`jax.random.categorical`), take six times as long here, and the sum over all V three times.
    """
    size = weights.shape[-1]
    side = math.isqrt(size - 1) + 1
    rest = [(0, 0)] * (weights.ndim - 1) + [(0, side * side - size)]
    blocks = jnp.pad(weights, rest).reshape(*weights.shape[:-1], side, side)
    block_key, key = jax.random.split(key)
    block = _draw_by_sums(block_key, blocks.sum(axis=-1))
    weights = jnp.take_along_axis(blocks, block[..., None, None], axis=-2)[..., 0, :]
    return block * side + _draw_by_sums(key, weights)


def _draw_by_sums(key: jax.Array, weights: jax.Array) -> jax.Array:
    """Where the running sum of weights (..., N) passes a number that is uniform below the whole: (...)."""
    sums = jnp.cumsum(weights, axis=-1)
    present = weights > 0  # the sums are rounded, and may grow where nothing was added
    whole = jnp.where(present, sums, 0.0).max(axis=-1, keepdims=True)
    drawn = whole * jax.random.uniform(key, whole.shape)
    return (present & (sums > drawn)).argmax(axis=-1)


def _most_probable(logits: jax.Array, top_k: jax.Array, top_p: jax.Array) -> jax.Array:
    """Which values (..., V) are kept; of equally probable ones, the first. top_k and top_p are (..., 1)."""
    kept = _largest(logits, jnp.ones_like(logits), jnp.where(top_k > 0, top_k, jnp.inf))
    probabilities = jax.nn.softmax(jnp.where(kept, logits, -jnp.inf), axis=-1)
    return kept & _largest(logits, probabilities, jnp.where(top_p < 1, top_p, jnp.inf))


def _largest(x: jax.Array, weights: jax.Array, bound: jax.Array) -> jax.Array:
    """Which of x (..., V) are the largest, as few as have weights of `bound` (..., 1) together, and at least one.

    The least of them is found bit by bit, in 32 sums over x: on CPU, in a sixth of the time that sorting takes.
    """
    bound = jnp.maximum(bound, jnp.finfo(jnp.float32).tiny)
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    order = jnp.where(bits >> 31, ~bits, bits | jnp.uint32(1 << 31))  # ordered as x is

    def add_bit(place, least):
        larger = least | (jnp.uint32(1 << 31) >> place)
        weight = jnp.where(order >= larger, weights, 0.0).sum(axis=-1, keepdims=True)
        return jnp.where(weight >= bound, larger, least)

    least = lax.fori_loop(0, 32, add_bit, jnp.zeros_like(order[..., :1]))
    equal = order == least
    above = jnp.where(order > least, weights, 0.0).sum(axis=-1, keepdims=True)
    equal_weights = jnp.where(equal, weights, 0.0)
    before = above + jnp.cumsum(equal_weights, axis=-1) - equal_weights
    return (order > least) | (equal & (before < bound))
