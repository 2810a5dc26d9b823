"""Beam search for the most probable sequences of an autoregressive model."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

IMPOSSIBLE = -1e30  # log-probability; with -inf, differences would be NaN


class Beams(NamedTuple):
    """Sequences found, the most probable first.

    Attributes:
      tokens: (B, K, T) int32, filled with end tokens after the first.
      scores: (B, K) float32, the log-probability of each sequence, including its first end token if it has one.
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
    axis: int = 0,
) -> Beams:
    """Searches for probable sequences, keeping the `width` most probable prefixes after each token.

    Args:
      step: (tokens (B * K,), carry) -> log-probabilities (B * K, W) of the next token, the new carry. Row b * K + k is
        beam k of example b.
      carry: before the first token, arrays with an axis of B examples.
      start: (B,) int32, the token before the first.
      width: K, number of beams; static; 1: greedy decoding.
      length: T, maximum number of tokens; static.
      end: end token, in [0, W); static.
      axis: of the examples, and of the beams in `step`, in the carry's arrays.
    """
    batch = start.shape[0]
    carry = jax.tree.map(lambda x: jnp.repeat(x, width, axis=axis), carry)
    # All beams start equal, so only one counts: otherwise each sequence would be found K times.
    first_only = jnp.where(jnp.arange(width) == 0, 0.0, IMPOSSIBLE)
    scores = jnp.broadcast_to(first_only, (batch, width))
    tokens = jnp.full((batch, width, length), end, jnp.int32)

    def extend(state, position):
        last, ended, scores, tokens, carry = state
        log_probabilities, carry = step(last.reshape(-1), carry)
        size = log_probabilities.shape[-1]
        log_probabilities = log_probabilities.reshape(batch, width, size)
        only_end = jnp.where(jnp.arange(size) == end, 0.0, IMPOSSIBLE)
        totals = scores[..., None] + jnp.where(ended[..., None], only_end, log_probabilities)  # (B, K, W)
        scores, chosen = lax.top_k(totals.reshape(batch, -1), width)  # (B, K)
        parent, token = chosen // size, (chosen % size).astype(jnp.int32)
        tokens = jnp.take_along_axis(tokens, parent[..., None], axis=1).at[:, :, position].set(token)
        ended = jnp.take_along_axis(ended, parent, axis=1) | (token == end)
        rows = (jnp.arange(batch)[:, None] * width + parent).reshape(-1)
        return (token, ended, scores, tokens, jax.tree.map(lambda x: jnp.take(x, rows, axis=axis), carry)), None

    last = jnp.broadcast_to(start[:, None], (batch, width)).astype(jnp.int32)
    state = (last, jnp.zeros((batch, width), bool), scores, tokens, carry)
    (_, _, scores, tokens, _), _ = lax.scan(extend, state, jnp.arange(length))
    return Beams(tokens, scores)
