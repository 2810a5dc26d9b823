"""GPT: a transformer decoder that predicts the next token (Radford et al. 2018, 2019; book chapter 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast, Below, Needs, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.dot_product_attention import Causal, Fixed, Local, Pattern, Strided
from gdl_jax.nn.layers import Dropout
from gdl_jax.nn.sampling import SamplingConfig, sample_logits
from gdl_jax.nn.transformer import Cache, Layers, Shape, layer_norm, tied_logits

PATTERNS = ("causal", "local", "strided", "fixed")
INITIAL_SCALE = 0.02  # standard deviation of initial kernels and embeddings
ACTIVATIONS = {"tanh": "gelu", "exact": "gelu_exact"}


@dataclass(frozen=True, kw_only=True)
class Config:
    context: Annotated[int, AtLeast(1)] = 1024  # largest number of tokens read at once
    layers: Annotated[int, AtLeast(1)] = 12  # number of layers
    heads: Annotated[int, AtLeast(1)] = 12  # attention heads of each layer; divides the width
    width: Annotated[int, AtLeast(1)] = 768  # features of a token; the feed-forward networks have four times as many
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.1  # dropout on embeddings, attention weights and sublayers
    bias: bool = True  # biases in dense layers and normalisation
    gelu: Annotated[str, OneOf(*ACTIVATIONS)] = "tanh"  # approximation by tanh (GPT-2), or exact
    # which earlier tokens a token attends to: causal (all), or a pattern of Child et al. 2019: local, strided or fixed
    attention: Annotated[str, OneOf(*PATTERNS)] = "causal"
    # tokens of a local window, between a strided column's tokens, or of a fixed block
    attention_stride: Annotated[int, AtLeast(1), Needs("attention=local|strided|fixed")] = 64
    # last tokens of each block that later blocks see
    attention_summary: Annotated[int, AtLeast(1), Needs("attention=fixed")] = 8
    remat: bool = False  # compute activations again in the backward pass, which saves memory
    unroll: Annotated[int, AtLeast(1)] = 1  # layers per iteration of the compiled loop over layers


def pattern_of(config: Config) -> Pattern:
    """Returns the attention pattern."""
    if config.attention == "fixed" and config.attention_summary > config.attention_stride:
        raise ConfigError("attention_summary", config.attention_summary, "must be at most attention_stride")
    return {
        "causal": Causal,
        "local": partial(Local, config.attention_stride),
        "strided": partial(Strided, config.attention_stride),
        "fixed": partial(Fixed, config.attention_stride, config.attention_summary),
    }[config.attention]()


class GPT(nn.Module):
    """Transformer decoder from tokens to logits of the next token, with the embeddings as its output layer.

    Attributes:
      config: hyperparameters.
      vocabulary_size: V.
      dtype: of the computation; logits are float32.
      axis_name: the pmapped axis, or None.
    """

    config: Config
    vocabulary_size: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        config = self.config
        normal = nn.initializers.normal
        shape = Shape(
            width=config.width,
            heads=config.heads,
            hidden=4 * config.width,
            norm_first=True,
            activation=ACTIVATIONS[config.gelu],
            dropout_rate=config.dropout_rate,
            attention_dropout_rate=config.dropout_rate,
            use_bias=config.bias,
            kernel_init=normal(INITIAL_SCALE),
            out_init=normal(INITIAL_SCALE * (2 * config.layers) ** -0.5),
        )
        embedding = partial(nn.Embed, features=config.width, embedding_init=normal(INITIAL_SCALE), dtype=self.dtype)
        self.tokens, self.positions = embedding(self.vocabulary_size), embedding(config.context)
        self.dropout = Dropout(config.dropout_rate, self.axis_name)
        self.layers = Layers(
            config.layers, shape, pattern_of(config), config.remat, config.unroll, self.dtype, self.axis_name
        )
        self.norm = layer_norm(use_bias=config.bias, dtype=self.dtype)

    def __call__(self, tokens: jax.Array, *, train: bool) -> jax.Array:
        """Predicts the token after each: (B, T) integers in [0, V), T <= context -> logits (B, T, V)."""
        return self.predict(self.states(tokens, train=train)[0])

    def states(self, tokens: jax.Array, *, train: bool, weights: bool = False) -> tuple[jax.Array, Any]:
        """Returns the last layer's outputs (B, T, W), and with `weights` the attention weights (L, B, H, T, T)."""
        x = self._embed(tokens, jnp.arange(tokens.shape[1]))
        x, (found, _) = self.layers(self.dropout(x, deterministic=not train), train=train, weights=weights)
        return x, found

    def predict(self, states: jax.Array) -> jax.Array:
        """Returns logits (B, T, V), float32, given outputs of the last layer (B, T, W)."""
        return tied_logits(self.norm(states), self.tokens.embedding)

    def read(self, tokens: jax.Array, lengths: jax.Array, size: int) -> tuple[jax.Array, Cache]:
        """Reads beginnings of sequences, padded at the end.

        Args:
          tokens: (B, T).
          lengths: (B,), the number of real tokens of each, at least 1.
          size: the longest length that the sequences will have, at most the context; static.

        Returns:
          Logits (B, V) of the token after each beginning, and the cache.
        """
        x, cache = self.layers.read(self._embed(tokens, jnp.arange(tokens.shape[1])), lengths, size)
        return self.predict(jnp.take_along_axis(x, lengths[:, None, None] - 1, axis=1))[:, 0], cache

    def add(self, token: jax.Array, position: jax.Array, cache: Cache, size: int) -> tuple[jax.Array, Cache]:
        """Reads one more token (B,) at `position` (B,): returns logits (B, V) of the next, and the new cache."""
        x, cache = self.layers.add(self._embed(token[:, None], position[:, None]), position, cache, size)
        return self.predict(x)[:, 0], cache

    def _embed(self, tokens: jax.Array, positions: jax.Array) -> jax.Array:
        chex.assert_rank(tokens, 2)
        chex.assert_type(tokens, int)
        if tokens.shape[1] > self.config.context:
            raise ConfigError("context", self.config.context, f"is less than the {tokens.shape[1]} tokens to read")
        return self.tokens(tokens) + self.positions(positions)


def generate(
    module: GPT,
    variables: Any,
    key: jax.Array,
    prompts: jax.Array,
    lengths: jax.Array,
    steps: int,
    sampling: SamplingConfig,
) -> jax.Array:
    """Generates `steps` tokens after each prompt, with a cache.

    A sequence that outgrows the context is continued from its last tokens: each time the cache is full, a new one is
    made of the last half of the context, so that every token is predicted from at least as many before it.

    Args:
      module, variables: the network.
      key: for the samples.
      prompts: (B, P), padded at the end.
      lengths: (B,), the number of real tokens of each, at least 1.
      steps: static.
      sampling: temperature, top-k and top-p.

    Returns:
      (B, steps).
    """
    context, longest = module.config.context, prompts.shape[1]
    each = steps if longest + steps - 1 <= context else min(steps, context - context // 2 + 1)  # tokens a round
    rounds, most = -(-steps // each), context + 1 - each
    kept = min(longest, most) if rounds == 1 else most  # tokens read at the beginning of a round
    size = kept + each - 1

    def one_round(state, keys):
        window, lengths = state
        logits, cache = module.apply(variables, window, lengths, size, method="read")
        token = sample_logits(keys[0], logits, *sampling)

        def one_token(state, key):
            token, position, cache = state
            logits, cache = module.apply(variables, token, position, cache, size, method="add")
            token = sample_logits(key, logits, *sampling)
            return (token, position + 1, cache), token

        _, tokens = lax.scan(one_token, (token, lengths, cache), keys[1:])
        tokens = jnp.concatenate([token[None], tokens]).T  # (B, each)
        return _appended(window, lengths, tokens), tokens

    prompts = jnp.pad(prompts, ((0, 0), (0, max(0, kept - longest))))
    start = _last(prompts, lengths, kept)
    _, tokens = lax.scan(one_round, start, jax.random.split(key, (rounds, each)))
    return tokens.swapaxes(0, 1).reshape(len(prompts), -1)[:, :steps]


def padded(prompts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns prompts of unequal length, each (P_i,), as (B, P) int32, padded at the end, and their lengths (B, 1)."""
    lengths = np.array([[len(prompt)] for prompt in prompts], np.int32)
    rows = np.zeros((len(prompts), int(lengths.max())), np.int32)
    for row, prompt in zip(rows, prompts, strict=True):
        row[: len(prompt)] = prompt
    return rows, lengths


def generate_from_padded(
    module: GPT,
    variables: Any,
    key: jax.Array,
    context: tuple[jax.Array, jax.Array],
    steps: int,
    sampling: SamplingConfig,
) -> jax.Array:
    """Returns what `generate` does; `context` is the prompts (B, P) and their lengths (B, 1), as from `padded`."""
    prompts, lengths = context
    return generate(module, variables, key, prompts, lengths[:, 0], steps, sampling)


def _last(tokens: jax.Array, lengths: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Returns each row's last `count` real tokens, (B, T) -> (B, count), padded at the end, and their numbers (B,)."""
    start = jnp.maximum(lengths - count, 0)
    index = jnp.minimum(start[:, None] + jnp.arange(count), tokens.shape[1] - 1)
    return jnp.take_along_axis(tokens, index, axis=1), jnp.minimum(lengths, count)


def _appended(window: jax.Array, lengths: jax.Array, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Appends tokens (B, N) to windows (B, C) with lengths (B,); returns the last C, and their lengths."""
    count = window.shape[1]
    joined = jnp.pad(window, ((0, 0), (0, tokens.shape[1])))
    places = lengths[:, None] + jnp.arange(tokens.shape[1])
    joined = joined.at[jnp.arange(len(window))[:, None], places].set(tokens)
    return _last(joined, lengths + tokens.shape[1], count)
