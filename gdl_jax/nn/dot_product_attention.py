"""Scaled dot-product attention (Vaswani et al. 2017, equation 1), dense and in sparse patterns (Child et al. 2019).

Queries are (B, T, H, D), keys and values (B, S, H, D). A pattern says which earlier positions a position attends to:
`pattern.allows` defines it, `pattern.attend` computes it for a whole sequence, in time and memory of the keys that it
allows, and `pattern.keys` lists those keys for one position, for generation with a cache. All heads have the same
pattern; where it joins two sets of keys, one softmax spans both. Positions that attend to nothing get zeros.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gdl_jax.nn.attention import masked_softmax

Drop = Callable[[jax.Array], jax.Array]  # dropout of attention weights (B, ...), or the identity


def keep(weights: jax.Array) -> jax.Array:
    """Returns the weights unchanged: no dropout."""
    return weights


def attention(
    queries: jax.Array, keys: jax.Array, values: jax.Array, mask: jax.Array | None = None, drop: Drop = keep
) -> tuple[jax.Array, jax.Array]:
    """Attends from each query to the keys where the mask is true.

    Args:
      queries: (B, T, H, D).
      keys: (B, S, H, D).
      values: (B, S, H, D).
      mask: bool, broadcastable to (B, H, T, S); None: true everywhere.
      drop: dropout of the weights.

    Returns:
      softmax(queries keys^T / sqrt(D)) values, (B, T, H, D), and the softmax before dropout, (B, H, T, S) float32.
    """
    scores = jnp.einsum("bthd,bshd->bhts", queries * queries.shape[-1] ** -0.5, keys)
    weights = masked_softmax(scores, mask)
    return jnp.einsum("bhts,bshd->bthd", drop(weights).astype(values.dtype), values), weights


def has_fused_kernel(dtype: jnp.dtype, head_width: int) -> bool:
    """Returns whether cuDNN's attention, whose memory does not grow with T x S, takes these arrays on this machine."""
    return jax.default_backend() == "gpu" and dtype in (jnp.bfloat16, jnp.float16) and head_width % 8 == 0


def _in_blocks(size: int, q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns q / sqrt(D), k and v, padded with zeros at the end to a multiple of `size` positions."""
    rest = [(0, 0), (0, -q.shape[1] % size), (0, 0), (0, 0)]
    return jnp.pad(q * q.shape[-1] ** -0.5, rest), jnp.pad(k, rest), jnp.pad(v, rest)


class _Part(NamedTuple):
    """Scores of queries with one set of keys, and the sum of values that weights of these keys give.

    Attributes:
      scores: (B, H, T, K), K keys of each query.
      mask: bool, broadcastable to the scores.
      sum: weights (B, H, T, K) -> (B, T, H, D).
    """

    scores: jax.Array
    mask: jax.Array
    sum: Callable[[jax.Array], jax.Array]


def _joined(parts: list[_Part], dtype: jnp.dtype, drop: Drop) -> jax.Array:
    """Attends to the union of disjoint sets of keys, with one softmax: (B, T, H, D)."""
    scores = jnp.concatenate([part.scores.astype(jnp.float32) for part in parts], axis=-1)
    mask = jnp.concatenate([jnp.broadcast_to(part.mask, part.scores.shape) for part in parts], axis=-1)
    weights = drop(masked_softmax(scores, mask)).astype(dtype)
    total, at = jnp.zeros((), dtype), 0
    for part in parts:
        count = part.scores.shape[-1]
        total, at = total + part.sum(weights[..., at : at + count]), at + count
    return total


def _blocks(x: jax.Array, size: int) -> jax.Array:
    """Splits a sequence into blocks: (B, T, ...) -> (B, T / size, size, ...)."""
    return x.reshape(x.shape[0], -1, size, *x.shape[2:])


def _within_blocks(q: jax.Array, k: jax.Array, v: jax.Array, size: int, *, window: bool) -> _Part:
    """Returns the part of each query's block and, if `window`, of as many keys before it as make `size` with its own.

    Without `window` the keys are those of the block up to the query.
    """
    batch, length, heads, _ = q.shape
    queries, keys, values = (_blocks(x, size) for x in (q, k, v))  # (B, N, l, H, D)
    here = jnp.arange(size)
    if window:
        keys, values = (
            jnp.concatenate([jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))[:, :-1], x], axis=2)
            for x in (keys, values)
        )  # (B, N, 2 l, H, D): of the block before, and of this one
        back = here[:, None] + size - jnp.arange(2 * size)  # (l, 2 l), places from key to query
        inside = (back >= 0) & (back < size)
        start = jnp.arange(length // size)[:, None, None] * size
        mask = inside & (start + jnp.arange(2 * size) - size >= 0)  # (N, l, 2 l)
    else:
        mask = jnp.broadcast_to(here[:, None] >= here, (length // size, size, size))
    scores = jnp.einsum("bnthd,bnshd->bhnts", queries, keys)

    def total(weights):
        weights = weights.reshape(batch, heads, -1, size, keys.shape[2])
        return jnp.einsum("bhnts,bnshd->bnthd", weights, values).reshape(q.shape)

    flat = scores.reshape(batch, heads, length, -1)
    return _Part(flat, mask.reshape(length, -1), total)


class Pattern:
    """Base of the patterns. By default a cache holds all positions, and generation attends to all that it holds."""

    def allows(self, query: jax.Array, key: jax.Array) -> jax.Array:
        """Returns true where a query's position attends to a key's; both broadcast."""
        raise NotImplementedError

    def attend(self, q: jax.Array, k: jax.Array, v: jax.Array, drop: Drop = keep) -> jax.Array:
        """Returns the attention of each position of a sequence, (B, T, H, D), given q, k and v of this shape."""
        raise NotImplementedError

    def cache_length(self, length: int) -> int:
        """Returns the number of positions to remember of sequences of at most `length`."""
        return length

    def keys(self, position: jax.Array, length: int) -> tuple[jax.Array, jax.Array] | None:
        """Returns the positions that `position` attends to; None: all that are remembered.

        Args:
          position: (B,).
          length: of the longest sequence; static.

        Returns:
          positions (B, K) int32, at least 0, and a mask (B, K) of those that count.
        """
        del position, length
        return None


@dataclass(frozen=True)
class Causal(Pattern):
    """Attends to every position up to its own."""

    def allows(self, query: jax.Array, key: jax.Array) -> jax.Array:
        return key <= query

    def attend(self, q: jax.Array, k: jax.Array, v: jax.Array, drop: Drop = keep) -> jax.Array:
        if drop is keep and has_fused_kernel(q.dtype, q.shape[-1]):
            return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn")
        here = jnp.arange(q.shape[1])
        return attention(q, k, v, self.allows(here[:, None], here), drop)[0]


@dataclass(frozen=True)
class Local(Pattern):
    """Attends to the last `window` positions, its own included."""

    window: int

    def allows(self, query: jax.Array, key: jax.Array) -> jax.Array:
        return (key <= query) & (query - key < self.window)

    def attend(self, q: jax.Array, k: jax.Array, v: jax.Array, drop: Drop = keep) -> jax.Array:
        length = q.shape[1]
        q, k, v = _in_blocks(self.window, q, k, v)
        return _joined([_within_blocks(q, k, v, self.window, window=True)], v.dtype, drop)[:, :length]

    def cache_length(self, length: int) -> int:
        return min(self.window, length)


@dataclass(frozen=True)
class Strided(Pattern):
    """Attends to the last `stride` positions, and before them to every `stride`-th (Child et al. 2019, section 4.3)."""

    stride: int

    def allows(self, query: jax.Array, key: jax.Array) -> jax.Array:
        back = query - key
        return (back >= 0) & ((back < self.stride) | (back % self.stride == 0))

    def attend(self, q: jax.Array, k: jax.Array, v: jax.Array, drop: Drop = keep) -> jax.Array:
        batch, length, heads, _ = q.shape
        q, k, v = _in_blocks(self.stride, q, k, v)
        padded = q.shape[1]
        columns = [_blocks(x, self.stride) for x in (q, k, v)]  # (B, N, l, H, D), attention along N
        scores = jnp.einsum("bnlhd,bmlhd->bhnlm", *columns[:2]).reshape(batch, heads, padded, -1)
        block = jnp.arange(padded // self.stride)
        before = jnp.repeat(block[:, None] > block, self.stride, axis=0)  # (T, N), without the query's own position

        def total(weights):
            weights = weights.reshape(batch, heads, -1, self.stride, weights.shape[-1])
            return jnp.einsum("bhnlm,bmlhd->bnlhd", weights, columns[2]).reshape(q.shape)

        parts = [_within_blocks(q, k, v, self.stride, window=True), _Part(scores, before, total)]
        return _joined(parts, v.dtype, drop)[:, :length]

    def keys(self, position: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
        local = position[:, None] - jnp.arange(self.stride)
        column = position[:, None] - self.stride * jnp.arange(1, -(-length // self.stride))
        index = jnp.concatenate([local, column], axis=1)
        return jnp.maximum(index, 0), index >= 0


@dataclass(frozen=True)
class Fixed(Pattern):
    """Attends to its block so far, and to the last `summary` positions of blocks before (Child et al. 2019, 4.3)."""

    block: int
    summary: int

    def allows(self, query: jax.Array, key: jax.Array) -> jax.Array:
        same = query // self.block == key // self.block
        return (key <= query) & (same | (key % self.block >= self.block - self.summary))

    def attend(self, q: jax.Array, k: jax.Array, v: jax.Array, drop: Drop = keep) -> jax.Array:
        length = q.shape[1]
        q, k, v = _in_blocks(self.block, q, k, v)
        padded = q.shape[1]
        shape = q.shape[0], -1, *q.shape[2:]
        keys, values = (_blocks(x, self.block)[:, :, -self.summary :].reshape(shape) for x in (k, v))
        scores = jnp.einsum("bthd,bshd->bhts", q, keys)  # (B, H, T, N c)
        of_query = jnp.arange(padded) // self.block
        before = of_query[:, None] > jnp.arange(keys.shape[1]) // self.summary

        def total(weights):
            return jnp.einsum("bhts,bshd->bthd", weights, values)

        parts = [_within_blocks(q, k, v, self.block, window=False), _Part(scores, before, total)]
        return _joined(parts, v.dtype, drop)[:, :length]

    def keys(self, position: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
        start = position[:, None] // self.block * self.block
        own = start + jnp.arange(self.block)
        every = jnp.arange(-(-length // self.block) * self.block).reshape(-1, self.block)
        summaries = jnp.broadcast_to(
            every[:, -self.summary :].reshape(-1), (len(position), every.shape[0] * self.summary)
        )
        index = jnp.concatenate([own, summaries], axis=1)
        mask = jnp.concatenate([own <= position[:, None], summaries < start], axis=1)
        return jnp.where(mask, index, 0), mask
