"""Recurrent language models of words or characters (book 06_01).

The book's network reads a window of words and predicts the next one. Its state summarises the words read, so generation
takes one step per word.

A bidirectional network predicts the next token from the last states of both directions. It can't be trained at every
position, because the backward direction has seen the tokens to predict, and its state can't be carried over: generation
recomputes the whole window for each token.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast, Below, Needs, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.models.checks import activation, dropout_rate
from gdl_jax.nn.dense import dense
from gdl_jax.nn.layers import Dense, Dropout, embedding_uniform
from gdl_jax.nn.recurrent import GRU, LSTM, RECURRENT_ACTIVATIONS, bidirectional
from gdl_jax.nn.sampling import SamplingConfig, sample_logits

CELLS = ("lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class Config:
    embedding_size: Annotated[int, AtLeast(1)] = 100  # dimensions of a token embedding
    cell: Annotated[str, OneOf(*CELLS)] = "lstm"  # type of the recurrent layers: lstm or gru
    hidden_units: Annotated[int, AtLeast(1)] = 256  # units of each recurrent layer, per direction
    layers: Annotated[int, AtLeast(1)] = 1  # number of stacked recurrent layers
    bidirectional: bool = False  # read the window in both directions; predicts only the token after it
    every_position: bool = False  # train on the next token of every position; book: only of the last
    tied: bool = False  # share the output layer's weights with the embeddings (Press & Wolf 2017)
    # dropout on the output of each recurrent layer; the book's text has 0.2, its code none
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    embedding_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # dropout on the token embeddings
    # activation of the gates: a name or package.module:function; the book's Keras had hard_sigmoid
    recurrent_activation: str = "sigmoid"
    # GRUs apply the reset gate after the matrix product (Keras since 2.3) instead of before it (book)
    reset_after: Annotated[bool, Needs("cell=gru")] = True


class TextRNN(nn.Module):
    """Recurrent network from tokens to logits of the next token.

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
        config, size = self.config, self.vocabulary_size
        if config.cell not in CELLS:
            raise ConfigError("cell", config.cell, f"unknown; choose one of {', '.join(CELLS)}")
        if config.bidirectional and config.every_position:
            reason = "not supported with every_position: the backward direction would see the tokens to predict"
            raise ConfigError("bidirectional", True, reason)
        activate = activation(config, "recurrent_", RECURRENT_ACTIVATIONS)

        def layers():
            if config.cell == "lstm":
                return [LSTM(config.hidden_units, activate, self.dtype) for _ in range(config.layers)]
            return [GRU(config.hidden_units, activate, config.reset_after, self.dtype) for _ in range(config.layers)]

        self.embedding = nn.Embed(size, config.embedding_size, embedding_init=embedding_uniform, dtype=self.dtype)
        self.embedding_dropout = Dropout(dropout_rate(config, "embedding_"), self.axis_name)
        self.forward = layers()
        self.backward = layers() if config.bidirectional else ()
        self.dropouts = [Dropout(dropout_rate(config), self.axis_name) for _ in range(config.layers)]
        if config.tied:
            self.to_vector = Dense(config.embedding_size, dtype=self.dtype)
            self.bias = self.param("bias", nn.initializers.zeros, (size,))
        else:
            self.words = Dense(size, dtype=self.dtype)

    def __call__(self, tokens: jax.Array, *, train: bool) -> jax.Array:
        """Predicts the next token of windows.

        Args:
          tokens: (B, C), integers in [0, V).
          train: turns on dropout and, with every_position, predictions at every position.

        Returns:
          Logits, float32: (B, 1, V) of the token after the last or, in training with every_position, (B, C, V) of the
          token after each.
        """
        chex.assert_rank(tokens, 2)
        chex.assert_type(tokens, int)
        if self.config.bidirectional:
            return self.predict(self._read_both_ways(tokens, train))
        states, _ = self.read(tokens, self.zero_carry(len(tokens)), train=train)  # (B, C, 256)
        return self.predict(states if train and self.config.every_position else states[:, -1:])

    def read(self, tokens: jax.Array, carry: tuple, *, train: bool = False) -> tuple[jax.Array, tuple]:
        """Reads tokens (B, C) from a carry: returns the last layer's outputs (B, C, hidden_units) and the new carry."""
        x = self.embedding_dropout(self.embedding(tokens), deterministic=not train)  # (B, C, 100)
        carries = []
        for layer, dropout, before in zip(self.forward, self.dropouts, carry, strict=True):
            x, after = layer(x, before)  # (B, C, 256)
            x = dropout(x, deterministic=not train)
            carries.append(after)
        return x, tuple(carries)

    def step(self, token: jax.Array, carry: tuple) -> tuple[jax.Array, tuple]:
        """Reads one token (B,) from a carry: returns logits (B, V) of the next token and the new carry."""
        states, carry = self.read(token[:, None], carry)
        return self.predict(states)[:, 0], carry

    def predict(self, states: jax.Array) -> jax.Array:
        """Returns logits (B, T, V) of the next token, given states (B, T, features)."""
        flat = states.reshape(-1, states.shape[-1])
        if self.config.tied:
            vectors = self.to_vector(flat)  # (B T, 100)
            logits = dense(vectors, self.embedding.embedding.astype(vectors.dtype).T) + self.bias
        else:
            logits = self.words(flat)
        return logits.astype(jnp.float32).reshape(*states.shape[:2], -1)

    def zero_carry(self, batch_size: int) -> tuple:
        """Returns the initial carry."""
        return tuple(layer.zero_carry(batch_size) for layer in self.forward)

    def _read_both_ways(self, tokens, train):
        """Returns the last states of both directions of the last layer: (B, C) -> (B, 1, 2 hidden_units)."""
        x = self.embedding_dropout(self.embedding(tokens), deterministic=not train)
        for forward, backward, dropout in zip(self.forward, self.backward, self.dropouts, strict=True):
            x, carries = bidirectional(forward, backward, x)  # (B, C, 512)
            x = dropout(x, deterministic=not train)
        ends = [carry[0] if isinstance(carry, tuple) else carry for carry in carries]
        return self.dropouts[-1](jnp.concatenate(ends, axis=-1)[:, None], deterministic=not train)


def allowed_logits(logits: jax.Array, last: jax.Array, unknown: int, separator: int) -> jax.Array:
    """Returns the logits with -inf for tokens that must not be generated.

    Args:
      logits: (B, V), of the next token.
      last: (B,), the tokens before.
      unknown: the unknown token; never generated.
      separator: the token between two texts; never generated twice in a row, which would be an empty text.
    """
    logits = logits.at[:, unknown].set(-jnp.inf)
    return jnp.where((last == separator)[:, None], logits.at[:, separator].set(-jnp.inf), logits)


def generate(
    module: TextRNN,
    variables: Any,
    key: jax.Array,
    context: jax.Array,
    steps: int,
    sampling: SamplingConfig,
    *,
    unknown: int,
    separator: int,
    recompute_context: bool = False,
) -> jax.Array:
    """Generates `steps` tokens, one at a time, after each row of the context.

    Args:
      module, variables: the network.
      key: for the samples.
      context: (B, C).
      steps: static.
      sampling: temperature, top-k and top-p.
      unknown, separator: see `allowed_logits`.
      recompute_context: before each token, read the last C tokens from the zero state, as in training and in the book;
        bidirectional networks always do. Otherwise the state is carried over, which is C times as fast.

    Returns:
      (B, steps).
    """

    def draw(key, logits, last):
        return sample_logits(key, allowed_logits(logits, last, unknown, separator), *sampling)

    def recomputed_step(window, key):
        token = draw(key, module.apply(variables, window, train=False)[:, -1], window[:, -1])
        return jnp.concatenate([window[:, 1:], token[:, None]], axis=1), token

    def carried_step(carry, key):
        logits, state, last = carry
        token = draw(key, logits, last)
        return (*module.apply(variables, token, state, method="step"), token), token

    keys = jax.random.split(key, steps)
    if recompute_context or module.config.bidirectional:
        return lax.scan(recomputed_step, context, keys)[1].T
    start = module.apply(variables, len(context), method="zero_carry")
    states, state = module.apply(variables, context, start, method="read")
    logits = module.apply(variables, states[:, -1:], method="predict")[:, 0]
    return lax.scan(carried_step, (logits, state, context[:, -1]), keys)[1].T
