"""Beam search: sequences that a model holds probable, word by word."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

IMPOSSIBLE = -1e30  # of a logarithm; minus infinity would make NaN of differences


class Beams(NamedTuple):
    """What was found, the most probable first.

    Attributes:
      tokens: (B, K, T) int32; after the end mark there is nothing but end marks.
      scores: (B, K) float32, the logarithm of each one's probability, its end mark included where it has one.
    """

    tokens: jax.Array
    scores: jax.Array


def beam_search(
    step: Callable[[jax.Array, Any], tuple[jax.Array, Any]],
    carry: Any,
    start: jax.Array,
    *,
    width: int,
    length: int,
    end: int,
) -> Beams:
    """The `width` most probable beginnings are kept after each word; with a width of 1 that is greedy decoding.

    Args:
      step: (words (B * K,), carry) -> log-probabilities (B * K, W) of the next word, the new carry. Row b * K + k is
        beam k of example b.
      carry: before the first word, arrays (B, ...).
      start: (B,) int32, the word that comes before the first.
      width: K; static, as are `length`, the most words, and `end`, the word after which there is none.
      length: T.
      end: in [0, W).
    """
    batch = start.shape[0]
    carry = jax.tree.map(lambda x: jnp.repeat(x, width, axis=0), carry)  # (B * K, ...)
    # The beams begin alike: if more than one counted, each sequence would be found K times.
    first_only = jnp.where(jnp.arange(width) == 0, 0.0, IMPOSSIBLE)
    scores = jnp.broadcast_to(first_only, (batch, width))
    tokens = jnp.full((batch, width, length), end, jnp.int32)

    def extend(state, place):
        last, ended, scores, tokens, carry = state
        log_probabilities, carry = step(last.reshape(-1), carry)
        size = log_probabilities.shape[-1]
        following = log_probabilities.reshape(batch, width, size)
        only_end = jnp.where(jnp.arange(size) == end, 0.0, IMPOSSIBLE)
        totals = scores[..., None] + jnp.where(ended[..., None], only_end, following)  # (B, K, W)
        scores, chosen = lax.top_k(totals.reshape(batch, -1), width)  # (B, K)
        parent, word = chosen // size, (chosen % size).astype(jnp.int32)
        tokens = jnp.take_along_axis(tokens, parent[..., None], axis=1).at[:, :, place].set(word)
        ended = jnp.take_along_axis(ended, parent, axis=1) | (word == end)
        rows = (jnp.arange(batch)[:, None] * width + parent).reshape(-1)
        return (word, ended, scores, tokens, jax.tree.map(lambda x: x[rows], carry)), None

    last = jnp.broadcast_to(start[:, None], (batch, width)).astype(jnp.int32)
    state = (last, jnp.zeros((batch, width), bool), scores, tokens, carry)
    (_, _, scores, tokens, _), _ = lax.scan(extend, state, jnp.arange(length))
    return Beams(tokens, scores)
