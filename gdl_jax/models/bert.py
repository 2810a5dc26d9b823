"""BERT: a transformer encoder that predicts masked words from both sides (Devlin et al. 2019; book chapter 9)."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import AtLeast, Below, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.layers import ACTIVATIONS, Dense, Dropout
from gdl_jax.nn.transformer import Layers, Shape, apply_flat, layer_norm, tied_logits

GELUS = {"exact": "gelu_exact", "tanh": "gelu"}
EPSILON = 1e-12  # of the layer normalisation
SEGMENTS = 2  # passages that a token may belong to
initial = nn.initializers.truncated_normal(0.02)  # of kernels and embeddings, cut at two standard deviations


@dataclass(frozen=True, kw_only=True)
class Config:
    layers: Annotated[int, AtLeast(1)] = 12  # number of layers
    heads: Annotated[int, AtLeast(1)] = 12  # attention heads of each layer; divides the width
    width: Annotated[int, AtLeast(1)] = 768  # features of a token
    hidden_units: Annotated[int, AtLeast(1)] = 3072  # units of the feed-forward networks
    positions: Annotated[int, AtLeast(1)] = 512  # largest number of tokens read at once
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.1  # dropout on embeddings and sublayers
    attention_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.1  # dropout on the attention weights
    gelu: Annotated[str, OneOf(*GELUS)] = "exact"  # exact (the paper, Hugging Face), or approximation by tanh
    remat: bool = False  # compute activations again in the backward pass, which saves memory
    unroll: Annotated[int, AtLeast(1)] = 1  # layers per iteration of the compiled loop over layers


class BERT(nn.Module):
    """Encoder from tokens to a vector for each. Initialised by `__call__`, it has no pooler.

    Attributes:
      config: hyperparameters.
      vocabulary_size: V.
      dtype: of the computation.
      axis_name: the pmapped axis, or None.
    """

    config: Config
    vocabulary_size: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        config = self.config
        shape = Shape(
            width=config.width,
            heads=config.heads,
            hidden=config.hidden_units,
            norm_first=False,
            activation=GELUS[config.gelu],
            epsilon=EPSILON,
            dropout_rate=config.dropout_rate,
            attention_dropout_rate=config.attention_dropout_rate,
            kernel_init=initial,
            out_init=initial,
        )
        embedding = partial(nn.Embed, features=config.width, embedding_init=initial, dtype=self.dtype)
        self.tokens, self.positions = embedding(self.vocabulary_size), embedding(config.positions)
        self.segments = embedding(SEGMENTS)
        self.embedding_norm = layer_norm(epsilon=EPSILON, dtype=self.dtype)
        self.dropout = Dropout(config.dropout_rate, self.axis_name)
        self.layers = Layers(config.layers, shape, None, config.remat, config.unroll, self.dtype, self.axis_name)
        self.pooler = Dense(config.width, kernel_init=initial, dtype=self.dtype)

    def __call__(self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, *, train: bool) -> jax.Array:
        """Returns the last layer's outputs (B, T, W); arguments are those of `read`."""
        return self.read(tokens, segments, mask, train=train)[0]

    def read(
        self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, *, train: bool, weights: bool = False
    ) -> tuple[jax.Array, Any]:
        """Reads sequences.

        Args:
          tokens: (B, T) integers in [0, V), T <= positions.
          segments: (B, T), the passage of each token, 0 or 1.
          mask: (B, T) bool, False at padding.
          train: turns on dropout.
          weights: return the attention weights.

        Returns:
          The last layer's outputs (B, T, W), and with `weights` the attention weights (L, B, H, T, T).
        """
        chex.assert_rank(tokens, 2)
        chex.assert_equal_shape([tokens, segments, mask])
        chex.assert_type([tokens, segments, mask], [int, int, bool])
        if tokens.shape[1] > self.config.positions:
            raise ConfigError("positions", self.config.positions, f"is less than the {tokens.shape[1]} tokens to read")
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1])) + self.segments(segments)
        x = self.dropout(self.embedding_norm(x), deterministic=not train)
        x, (found, _) = self.layers(x, mask, train=train, weights=weights)
        return x, found

    def pool(self, states: jax.Array) -> jax.Array:
        """Returns a vector (B, W) of each sequence, in [-1, 1], from the outputs (B, T, W) at its first token."""
        return jnp.tanh(self.pooler(states[:, 0]))

    def word_logits(self, states: jax.Array) -> jax.Array:
        """Returns logits (B, P, V), float32, given vectors (B, P, W), with the embeddings as the output layer."""
        return tied_logits(states, self.tokens.embedding)


class Prediction(NamedTuple):
    """Outputs of the heads of pre-training, float32.

    Attributes:
      words: logits (B, P, V) of the tokens at the chosen positions.
      next: logits (B, 2): 0, the second passage follows the first; 1, it is another text's (the order of BERT's own
        weights).
    """

    words: jax.Array
    next: jax.Array


class Pretraining(nn.Module):
    """BERT with the heads of pre-training: masked words and the next sentence. Attributes are those of `BERT`."""

    config: Config
    vocabulary_size: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        dense = partial(Dense, kernel_init=initial, dtype=self.dtype)
        self.bert = BERT(self.config, self.vocabulary_size, self.dtype, self.axis_name)
        self.transform, self.transform_norm = dense(self.config.width), layer_norm(epsilon=EPSILON, dtype=self.dtype)
        self.word_bias = self.param("word_bias", nn.initializers.zeros, (self.vocabulary_size,))
        self.next = dense(2)

    def __call__(
        self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, positions: jax.Array, *, train: bool
    ) -> Prediction:
        """Predicts the tokens at `positions` (B, P), integers in [0, T); other arguments are those of `BERT.read`."""
        states = self.bert(tokens, segments, mask, train=train)
        pooled = self.bert.pool(states)
        chosen = jnp.take_along_axis(states, positions[..., None], axis=1)
        return Prediction(self.words(chosen), self.next(pooled).astype(jnp.float32))

    def words(self, states: jax.Array) -> jax.Array:
        """Returns logits (B, P, V), float32, of the tokens at which the encoder's outputs are `states` (B, P, W)."""
        x = ACTIVATIONS[GELUS[self.config.gelu]](apply_flat(self.transform, states))
        return self.bert.word_logits(self.transform_norm(x)) + self.word_bias

    def masked_words(self, tokens: jax.Array, segments: jax.Array, mask: jax.Array, *, train: bool) -> jax.Array:
        """Returns logits (B, T, V) of the token at every position; initialised by it, the network has no pooler."""
        return self.words(self.bert(tokens, segments, mask, train=train))
