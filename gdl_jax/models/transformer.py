"""The transformer (Vaswani et al. 2017; book chapter 9): an encoder reads a sentence, a decoder its translation."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Below, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.beam import Beams, beam_search
from gdl_jax.nn.dot_product_attention import Causal
from gdl_jax.nn.layers import Dense, Dropout, glorot_uniform
from gdl_jax.nn.transformer import Cache, Layers, Shape, apply_flat, layer_norm, sinusoidal_positions, tied_logits

POSITIONS = ("sinusoidal", "learned")
TIED = ("none", "output", "all")


@dataclass(frozen=True, kw_only=True)
class Config:
    layers: Annotated[int, AtLeast(1)] = 6  # layers of the encoder, and of the decoder
    width: Annotated[int, AtLeast(2)] = 512  # features of a token
    heads: Annotated[int, AtLeast(1)] = 8  # attention heads of each layer; divides the width
    hidden_units: Annotated[int, AtLeast(1)] = 2048  # units of the feed-forward networks
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.1  # dropout on embeddings and sublayers
    attention_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # dropout on the attention weights
    # dropout on the feed-forward networks' hidden units
    hidden_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    norm_first: bool = False  # normalise each sublayer's input; the paper normalises its sum with the output
    positions: Annotated[str, OneOf(*POSITIONS)] = "sinusoidal"  # positional encoding: sinusoidal (paper) or learned
    # share the decoder's embedding with the output layer, or (all; needs one vocabulary) with the encoder's, too
    tied: Annotated[str, OneOf(*TIED)] = "output"


class Transformer(nn.Module):
    """Network from a sentence and the beginning of its translation to logits of the next token.

    Attributes:
      config: hyperparameters.
      source_size, target_size: sizes of the vocabularies.
      length: the largest number of tokens of a sentence, with start and end.
      padding: id of padding.
      dtype: of the computation; logits are float32.
      axis_name: the pmapped axis, or None.
    """

    config: Config
    source_size: int
    target_size: int
    length: int
    padding: int = 0
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        config = self.config
        if config.tied == "all" and self.source_size != self.target_size:
            raise ConfigError("tied", config.tied, "needs one vocabulary for both languages")
        shape = {
            "width": config.width,
            "heads": config.heads,
            "hidden": config.hidden_units,
            "norm_first": config.norm_first,
            "activation": "relu",
            "dropout_rate": config.dropout_rate,
            "attention_dropout_rate": config.attention_dropout_rate,
            "hidden_dropout_rate": config.hidden_dropout_rate,
            "kernel_init": glorot_uniform,
        }
        layers = partial(Layers, config.layers, dtype=self.dtype, axis_name=self.axis_name)
        self.encoder, self.decoder = layers(Shape(**shape)), layers(Shape(**shape, memory=True), Causal())
        embed = partial(
            nn.Embed,
            features=config.width,
            embedding_init=nn.initializers.normal(config.width**-0.5),
            dtype=self.dtype,
        )
        self.target = embed(self.target_size)
        self.source = self.target if config.tied == "all" else embed(self.source_size)
        if config.positions == "learned":
            self.source_positions, self.target_positions = embed(self.length), embed(self.length)
        if config.tied == "none":
            self.words = Dense(self.target_size, dtype=self.dtype)
        if config.norm_first:
            self.encoder_norm, self.decoder_norm = layer_norm(dtype=self.dtype), layer_norm(dtype=self.dtype)
        self.dropout = Dropout(config.dropout_rate, self.axis_name)

    def __call__(self, source: jax.Array, target: jax.Array, *, train: bool) -> jax.Array:
        """Predicts the next token of translations.

        Args:
          source: (B, S), padded at the end.
          target: (B, T), the beginnings of the translations, padded at the end.
          train: turns on dropout.

        Returns:
          Logits (B, T, V) of the token after each of the target, float32.
        """
        memory, mask = self.encode(source, train=train)
        states, _ = self.decode(target, memory, mask, train=train)
        return self.predict(states)

    def encode(self, source: jax.Array, *, train: bool = False, weights: bool = False) -> Any:
        """Reads sentences (B, S): returns (B, S, W) and the mask (B, S) of real tokens, and with `weights` the
        attention (L, B, H, S, S)."""
        mask = source != self.padding
        x = self._embed(self.source, source, "source_positions", jnp.arange(source.shape[1]), train)
        x, (found, _) = self.encoder(x, mask, train=train, weights=weights)
        x = self.encoder_norm(x) if self.config.norm_first else x
        return (x, mask, found) if weights else (x, mask)

    def decode(
        self, target: jax.Array, memory: jax.Array, mask: jax.Array, *, train: bool = False, weights: bool = False
    ) -> tuple[jax.Array, Any]:
        """Returns the decoder's outputs (B, T, W), and with `weights` its attention to itself and to the memory."""
        x = self._embed(self.target, target, "target_positions", jnp.arange(target.shape[1]), train)
        return self.decoder(x, None, memory, mask, train=train, weights=weights)

    def predict(self, states: jax.Array) -> jax.Array:
        """Returns logits (B, T, V), float32, given the decoder's outputs (B, T, W)."""
        states = self.decoder_norm(states) if self.config.norm_first else states
        if self.config.tied == "none":
            return apply_flat(self.words, states).astype(jnp.float32)
        return tied_logits(states, self.target.embedding)

    def start(self, source: jax.Array, first: jax.Array, size: int) -> tuple[jax.Array, Cache, jax.Array]:
        """Reads sentences (B, S) and the first token of each translation (B,).

        Returns:
          Logits (B, V) of the next token, the decoder's cache of at most `size` tokens, and the mask (B, S).
        """
        memory, mask = self.encode(source)
        x = self._embed(self.target, first[:, None], "target_positions", jnp.arange(1), False)
        x, cache = self.decoder.read(x, jnp.ones(len(first), jnp.int32), size, memory, mask)
        return self.predict(x)[:, 0], cache, mask

    def add(
        self, token: jax.Array, position: jax.Array, cache: Cache, size: int, mask: jax.Array
    ) -> tuple[jax.Array, Cache]:
        """Reads one more token (B,) of the translations, at `position` (B,): returns logits (B, V) and the cache."""
        x = self._embed(self.target, token[:, None], "target_positions", position[:, None], False)
        x, cache = self.decoder.add(x, position, cache, size, mask)
        return self.predict(x)[:, 0], cache

    def _embed(self, embedding: nn.Embed, tokens: jax.Array, table: str, positions: jax.Array, train: bool):
        x = embedding(tokens) * self.config.width**0.5
        if self.config.positions == "learned":
            x = x + getattr(self, table)(positions)
        else:
            x = x + sinusoidal_positions(positions, self.config.width).astype(x.dtype)
        return self.dropout(x, deterministic=not train)


def translate(
    module: Transformer,
    variables: Any,
    source: jax.Array,
    *,
    start: int,
    end: int,
    length: int,
    width: int = 1,
    length_penalty: float = 0.0,
) -> Beams:
    """Returns the most probable translations, found by beam search.

    Args:
      module, variables: the network.
      source: (B, S), padded at the end.
      start, end: ids of these tokens; static.
      length: T, the largest number of tokens, at most the network's length; static.
      width: number of beams, K; 1: greedy.
      length_penalty: alpha of the score log p / ((5 + tokens) / 6)^alpha (Wu et al. 2016), by which the beams are
        ordered at the end; 0: the log-probability.
    """
    first = jnp.full(len(source), start, jnp.int32)
    _, cache, mask = module.apply(variables, source, first, length, method="start")
    memory = jax.tree.map(lambda x: jnp.repeat(x, width, axis=1), cache.memory)  # the same for all beams of a sentence
    masks = jnp.repeat(mask, width, axis=0)

    def step(token, carry):
        position, keys, values = carry
        cache = Cache(keys, values, memory)
        logits, cache = module.apply(variables, token, position[0], cache, length, masks, method="add")
        return jax.nn.log_softmax(logits), (position + 1, cache.keys, cache.values)

    carry = jnp.zeros((1, len(source)), jnp.int32), cache.keys, cache.values
    beams = beam_search(step, carry, first, width=width, length=length, end=end, axis=1)
    if not length_penalty:
        return beams
    tokens = 1 + (beams.tokens != end).sum(axis=-1)
    order = jnp.argsort(-beams.scores / ((5 + tokens) / 6) ** length_penalty, axis=-1)
    return Beams(
        jnp.take_along_axis(beams.tokens, order[..., None], axis=1), jnp.take_along_axis(beams.scores, order, 1)
    )
