"""Transformer layers (Vaswani et al. 2017; book chapter 9): encoders, decoders, and generation with a cache.

A `Block` holds the parameters of one layer. How its positions attend to each other is an argument, a function of
queries, keys and values: training, reading a prompt into a cache, and adding one token to it differ only in that.
`Layers` is a stack of blocks of one shape, with parameters stacked along a first axis and one compiled body for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.dense import dense
from gdl_jax.nn.dot_product_attention import Pattern, attention, keep
from gdl_jax.nn.layers import ACTIVATIONS, Dense, Dropout, Initializer, glorot_uniform

# queries (B, T, H, D), keys and values (B, S, H, D), dropout -> (B, T, H, D), and what else the caller wants
Attend = Callable[[jax.Array, jax.Array, jax.Array, Callable], tuple[jax.Array, Any]]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Hyperparameters of a layer.

    Attributes:
      width: features of a position, W.
      heads: attention heads; divides the width.
      hidden: units of the feed-forward network.
      norm_first: normalise the input of each sublayer (GPT-2), instead of its sum with the output (the paper, BERT).
      activation: of the feed-forward network, a name of `layers.ACTIVATIONS`.
      epsilon: of the layer normalisation.
      dropout_rate: of each sublayer's output.
      attention_dropout_rate: of the attention weights.
      hidden_dropout_rate: of the feed-forward network's hidden units.
      use_bias: biases in dense layers and normalisation.
      kernel_init: of the dense layers.
      out_init: of each sublayer's last dense layer.
      memory: attend to an encoder's outputs, too.
    """

    width: int
    heads: int
    hidden: int
    norm_first: bool
    activation: str
    epsilon: float = 1e-5
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    hidden_dropout_rate: float = 0.0
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    out_init: Initializer = glorot_uniform
    memory: bool = False


class Cache(NamedTuple):
    """Keys and values of the positions read so far; position p is at place p mod S.

    Attributes:
      keys: (L, B, S, H, D), of L layers.
      values: (L, B, S, H, D).
      memory: keys and values of the encoder's outputs, each (L, B, M, H, D); None without an encoder.
    """

    keys: jax.Array
    values: jax.Array
    memory: tuple[jax.Array, jax.Array] | None = None


def layer_norm(**fields: Any) -> nn.LayerNorm:
    """Returns layer normalisation with the variance by two passes, as in PyTorch, and epsilon 1e-5 by default."""
    return nn.LayerNorm(**{"epsilon": 1e-5, "use_fast_variance": False} | fields)


def apply_flat(layer: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Applies a function of rows to the last axis: (..., I) -> (..., F)."""
    return layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


def tied_logits(states: jax.Array, embedding: jax.Array) -> jax.Array:
    """Returns logits (B, T, V), float32, of states (B, T, W) with the token embeddings (V, W) as the output layer."""
    output = embedding.astype(states.dtype).T
    return apply_flat(lambda x: dense(x, output), states).astype(jnp.float32)


class Block(nn.Module):
    """Layer: self-attention, attention to a memory if there is one, and a feed-forward network.

    Attributes:
      shape: hyperparameters.
      dtype: of the computation.
      axis_name: the pmapped axis, or None.
    """

    shape: Shape
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        shape = self.shape
        if shape.width % shape.heads:
            raise ConfigError("heads", shape.heads, f"must divide width={shape.width}")
        layer = partial(Dense, use_bias=shape.use_bias, kernel_init=shape.kernel_init, dtype=self.dtype)
        out = partial(layer, kernel_init=shape.out_init)
        norm = partial(layer_norm, epsilon=shape.epsilon, use_bias=shape.use_bias, dtype=self.dtype)
        self.qkv, self.attention_out, self.attention_norm = layer(3 * shape.width), out(shape.width), norm()
        if shape.memory:
            self.query, self.key_value, self.memory_out = layer(shape.width), layer(2 * shape.width), out(shape.width)
            self.memory_norm = norm()
        self.hidden, self.out, self.norm = layer(shape.hidden), out(shape.width), norm()
        self.attention_dropout = Dropout(shape.attention_dropout_rate, self.axis_name)
        self.hidden_dropout = Dropout(shape.hidden_dropout_rate, self.axis_name)
        self.dropout = Dropout(shape.dropout_rate, self.axis_name)

    def __call__(
        self, x: jax.Array, attend: Attend, attend_memory: Attend | None = None, memory: Any = None, *, train: bool
    ) -> tuple[jax.Array, Any]:
        """Applies the layer.

        Args:
          x: (B, T, W).
          attend: self-attention.
          attend_memory: attention to the memory.
          memory: outputs of an encoder (B, M, W), or their keys and values from `project_memory`.
          train: turns on dropout.

        Returns:
          (B, T, W), and what `attend` and `attend_memory` return besides, as a pair.
        """
        shape, extras = self.shape, [None, None]
        drop = partial(self.attention_dropout, deterministic=False) if train and shape.attention_dropout_rate else keep

        def attended(x):
            y, extras[0] = attend(*self._heads(apply_flat(self.qkv, x), 3), drop)
            return apply_flat(self.attention_out, y.reshape(x.shape))

        def remembered(x):
            (q,) = self._heads(apply_flat(self.query, x), 1)
            y, extras[1] = attend_memory(
                q, *(memory if isinstance(memory, tuple) else self.project_memory(memory)), drop
            )
            return apply_flat(self.memory_out, y.reshape(x.shape))

        def fed_forward(x):
            hidden = ACTIVATIONS[shape.activation](apply_flat(self.hidden, x))
            return apply_flat(self.out, self.hidden_dropout(hidden, deterministic=not train))

        x = self._with_skip(x, attended, self.attention_norm, train)
        if shape.memory:
            x = self._with_skip(x, remembered, self.memory_norm, train)
        return self._with_skip(x, fed_forward, self.norm, train), tuple(extras)

    def project_memory(self, memory: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns keys and values, each (B, M, H, D), of an encoder's outputs (B, M, W)."""
        return self._heads(apply_flat(self.key_value, memory), 2)

    def _heads(self, x: jax.Array, parts: int) -> tuple[jax.Array, ...]:
        """Splits features (B, T, parts * W) into `parts` arrays (B, T, H, D)."""
        return tuple(part.reshape(*part.shape[:2], self.shape.heads, -1) for part in jnp.split(x, parts, axis=-1))

    def _with_skip(self, x, sublayer, norm, train):
        if self.shape.norm_first:
            return x + self.dropout(sublayer(norm(x)), deterministic=not train)
        return norm(x + self.dropout(sublayer(x), deterministic=not train))


class Layers(nn.Module):
    """Stack of layers of one shape; its parameters have a first axis of layers.

    Attributes:
      number: of layers, L.
      shape: hyperparameters of each.
      pattern: of self-attention; None: each position attends to all.
      remat: compute activations again in the backward pass, which saves memory.
      unroll: layers per iteration of the compiled loop; L: no loop.
      dtype: of the computation.
      axis_name: the pmapped axis, or None.
    """

    number: int
    shape: Shape
    pattern: Pattern | None = None
    remat: bool = False
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        self.block = Block(self.shape, self.dtype, self.axis_name)

    def _scan(self, body: Callable, carry: Any, inputs: Any = None) -> tuple[Any, Any]:
        """Runs body(block, carry, a layer's inputs) -> (carry, outputs) over the layers; outputs are stacked."""
        scanned = nn.scan(
            nn.remat(body, prevent_cse=False) if self.remat else body,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            length=self.number,
            unroll=self.unroll,
        )
        return scanned(self.block, carry, inputs)

    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array | None = None,
        memory: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        *,
        train: bool,
        weights: bool = False,
    ) -> tuple[jax.Array, Any]:
        """Applies all layers to sequences.

        Args:
          x: (B, T, W).
          mask: (B, T) bool, true at real positions; None: all are. With a pattern, padding must follow the real ones,
            and needs no mask.
          memory: outputs of an encoder, (B, M, W), or None.
          memory_mask: (B, M) bool, or None.
          train: turns on dropout.
          weights: return the attention weights.

        Returns:
          (B, T, W), and with `weights` a pair of (L, B, H, T, T) and (L, B, H, T, M), or None without a memory.
        """

        def attend(q, k, v, drop):
            if self.pattern is not None and not weights:
                return self.pattern.attend(q, k, v, drop), None
            here = jnp.arange(q.shape[1])
            allowed = None if mask is None else mask[:, None, None]
            if self.pattern is not None:
                pattern = self.pattern.allows(here[:, None], here)
                allowed = pattern if allowed is None else allowed & pattern
            y, found = attention(q, k, v, allowed, drop)
            return y, found if weights else None

        def attend_memory(q, k, v, drop):
            y, found = attention(q, k, v, None if memory_mask is None else memory_mask[:, None, None], drop)
            return y, found if weights else None

        return self._scan(lambda block, x, _: block(x, attend, attend_memory, memory, train=train), x)

    def read(
        self,
        x: jax.Array,
        lengths: jax.Array,
        size: int,
        memory: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
    ) -> tuple[jax.Array, Cache]:
        """Reads the beginnings of sequences, in one pass.

        Args:
          x: (B, T, W), padded at the end.
          lengths: (B,) real positions of each.
          size: the longest length that the sequences will have; static.
          memory, memory_mask: as in `__call__`.

        Returns:
          (B, T, W), and the cache of the real positions.
        """
        places = self.pattern.cache_length(size)

        def attend(q, k, v, drop):
            return self.pattern.attend(q, k, v, drop), (_stored(k, lengths, places), _stored(v, lengths, places))

        def attend_memory(q, k, v, drop):
            return attention(q, k, v, None if memory_mask is None else memory_mask[:, None, None], drop)[0], (k, v)

        def body(block, x, _):
            return block(x, attend, attend_memory, memory, train=False)

        x, ((keys, values), of_memory) = self._scan(body, x)
        return x, Cache(keys, values, of_memory)

    def add(
        self, x: jax.Array, position: jax.Array, cache: Cache, size: int, memory_mask: jax.Array | None = None
    ) -> tuple[jax.Array, Cache]:
        """Adds one position to each sequence.

        Args:
          x: (B, 1, W).
          position: (B,), of x in its sequence, less than `size`.
          cache: from `read`, or of the position before.
          size: as in `read`.
          memory_mask: as in `__call__`.

        Returns:
          (B, 1, W), and the cache with the new position.
        """
        rows, places = jnp.arange(len(position)), cache.keys.shape[2]
        chosen = self.pattern.keys(position, size)

        def body(block, carry, inputs):
            x, keys, values = carry
            layer, of_memory = inputs

            def attend(q, k, v, drop):
                del drop
                new = [old.at[layer, rows, position % places].set(x[:, 0]) for old, x in ((keys, k), (values, v))]
                return _attend_to_cache(q, *(x[layer] for x in new), position, chosen), new

            def attend_memory(q, k, v, drop):
                return attention(q, k, v, None if memory_mask is None else memory_mask[:, None, None], drop)[0], None

            x, ((keys, values), _) = block(x, attend, attend_memory, of_memory, train=False)
            return (x, keys, values), None

        carry = x, cache.keys, cache.values
        (x, keys, values), _ = self._scan(body, carry, (jnp.arange(self.number), cache.memory))
        return x, Cache(keys, values, cache.memory)


def _stored(x: jax.Array, lengths: jax.Array, places: int) -> jax.Array:
    """Returns the last positions of each sequence at their places of a cache: (B, T, H, D) -> (B, places, H, D)."""
    if places >= x.shape[1]:
        return jnp.pad(x, ((0, 0), (0, places - x.shape[1]), (0, 0), (0, 0)))
    last = lengths[:, None] - 1
    position = last - (last - jnp.arange(places)) % places
    return jnp.take_along_axis(x, jnp.maximum(position, 0)[..., None, None], axis=1)


def _attend_to_cache(
    q: jax.Array, keys: jax.Array, values: jax.Array, position: jax.Array, chosen: tuple[jax.Array, jax.Array] | None
) -> jax.Array:
    """Attends from one position to a layer's cache: (B, 1, H, D), (B, S, H, D), (B, S, H, D), (B,) -> (B, 1, H, D)."""
    if chosen is None:
        place = jnp.arange(keys.shape[1])
        mask = position[:, None] - (position[:, None] - place) % keys.shape[1] >= 0  # the position at each place
    else:
        index, mask = chosen
        keys, values = (jnp.take_along_axis(x, index[..., None, None], axis=1) for x in (keys, values))
    return attention(q, keys, values, mask[:, None, None])[0]


def sinusoidal_positions(positions: jax.Array, width: int) -> jax.Array:
    """Returns the encoding (..., width) of positions (...), float32 (Vaswani et al. 2017, section 3.5).

    PE[p, 2i] = sin(p / 10000^(2i / width)), PE[p, 2i + 1] = cos(p / 10000^(2i / width)).
    """
    rates = 10000.0 ** (-jnp.arange(0, width, 2) / width)
    angles = positions[..., None] * rates
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(*positions.shape, -1)[..., :width]
