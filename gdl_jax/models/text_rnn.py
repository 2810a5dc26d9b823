"""Recurrent networks that predict the next token of a text, a word or a character (book 06_01).

The book's reads a window of words and predicts the one after the last. What it has read is in its state, so that text
is written word by word without reading anything twice.

A bidirectional network reads the window both ways, and predicts the next token from the last states of both. It can't
be trained at every position, since backwards it has seen the tokens to predict, and its state can't be carried on: for
each word that it writes it reads the window again.
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

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
from gdl_jax.nn.sampling import Number, sample_logits

CELLS = ("lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class Config:
    embedding_size: Annotated[int, AtLeast(1)] = 100  # numbers in the vector of a token
    cell: Annotated[str, OneOf(*CELLS)] = "lstm"  # of the recurrent layers: lstm or gru
    hidden_units: Annotated[int, AtLeast(1)] = 256  # of each layer, in each direction
    layers: Annotated[int, AtLeast(1)] = 1  # recurrent layers, one above the other
    bidirectional: bool = False  # read the window both ways, and predict only what comes after it
    every_position: bool = False  # train on what follows each token of a window; the book: on what follows the last
    tied: bool = False  # the output layer's weights are the embeddings (Press & Wolf 2017)
    # of what each recurrent layer returns; the book's text has 0.2, its code none
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    embedding_dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # of the tokens' vectors
    recurrent_activation: str = "sigmoid"  # of the gates, by name; the book's Keras had hard_sigmoid
    # where GRUs reset their state: after the product (Keras since 2.3) or before (book)
    reset_after: Annotated[bool, Needs("cell=gru")] = True


class SamplingConfig(NamedTuple):
    """Settings of the draws of tokens, each () or (B,); see `nn.sampling.sample_logits`."""

    temperature: Number = 1.0
    top_k: jax.Array | int = 0
    top_p: Number = 1.0


class TextRNN(nn.Module):
    """Tokens -> logits of what follows.

    Attributes:
      config: hyperparameters.
      vocabulary_size: V.
      dtype: the type in which layers compute.
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
            reason = "can't go with every_position: reading backwards, it would see the tokens that it is to predict"
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
        """Predicts what comes after windows of tokens.

        Args:
          tokens: (B, C), integers in [0, V).
          train: turns dropout on, and predictions at every position where the config has them.

        Returns:
          Logits (B, 1, V) of what follows the last token or, in training with every_position, (B, C, V) of what follows
          each; float32.
        """
        chex.assert_rank(tokens, 2)
        chex.assert_type(tokens, int)
        if self.config.bidirectional:
            return self.tell(self._read_both_ways(tokens, train))
        states, _ = self.read(tokens, self.zero_carry(len(tokens)), train=train)  # (B, C, 256)
        return self.tell(states if train and self.config.every_position else states[:, -1:])

    def read(self, tokens: jax.Array, carry: tuple, *, train: bool = False) -> tuple[jax.Array, tuple]:
        """Reads tokens: (B, C), the state before -> outputs of the last layer (B, C, hidden_units), the state after."""
        x = self.embedding_dropout(self.embedding(tokens), deterministic=not train)  # (B, C, 100)
        carries = []
        for layer, dropout, before in zip(self.forward, self.dropouts, carry, strict=True):
            x, after = layer(x, before)  # (B, C, 256)
            x = dropout(x, deterministic=not train)
            carries.append(after)
        return x, tuple(carries)

    def step(self, token: jax.Array, carry: tuple) -> tuple[jax.Array, tuple]:
        """Reads one more token: (B,), the state before -> logits (B, V) of what follows, the state after."""
        states, carry = self.read(token[:, None], carry)
        return self.tell(states)[:, 0], carry

    def tell(self, states: jax.Array) -> jax.Array:
        """Predicts: states (B, T, features) -> logits (B, T, V)."""
        flat = states.reshape(-1, states.shape[-1])
        if self.config.tied:
            vectors = self.to_vector(flat)  # (B T, 100)
            logits = dense(vectors, self.embedding.embedding.astype(vectors.dtype).T) + self.bias
        else:
            logits = self.words(flat)
        return logits.astype(jnp.float32).reshape(*states.shape[:2], -1)

    def zero_carry(self, batch_size: int) -> tuple:
        """Returns the state before anything is read."""
        return tuple(layer.zero_carry(batch_size) for layer in self.forward)

    def _read_both_ways(self, tokens, train):
        """(B, C) -> (B, 1, 2 hidden_units): where either direction of the last layer ends."""
        x = self.embedding_dropout(self.embedding(tokens), deterministic=not train)
        for forward, backward, dropout in zip(self.forward, self.backward, self.dropouts, strict=True):
            x, carries = bidirectional(forward, backward, x)  # (B, C, 512)
            x = dropout(x, deterministic=not train)
        ends = [carry[0] if isinstance(carry, tuple) else carry for carry in carries]
        return self.dropouts[-1](jnp.concatenate(ends, axis=-1)[:, None], deterministic=not train)


def writable(logits: jax.Array, last: jax.Array, never: int, separator: int) -> jax.Array:
    """Returns logits (B, V) after the tokens `last` (B,), -inf for what is not written.

    Args:
      logits: of what follows.
      last: the tokens before.
      never: the unknown token.
      separator: the token between two texts. It is not written after itself: what has not begun does not end.
    """
    logits = logits.at[:, never].set(-jnp.inf)
    return jnp.where((last == separator)[:, None], logits.at[:, separator].set(-jnp.inf), logits)


def write_on(
    module: TextRNN,
    variables: Any,
    key: jax.Array,
    context: jax.Array,
    steps: int,
    sampling: SamplingConfig,
    *,
    never: int,
    separator: int,
    reread: bool = False,
) -> jax.Array:
    """Writes `steps` tokens, one by one, after each row of the context.

    Args:
      module, variables: the network.
      key: decides what is drawn.
      context: (B, C).
      steps: static.
      sampling: of the draws.
      never, separator: see `writable`.
      reread: whether the last C tokens are read anew, from nothing, before each that is written, as the book does and
        as the network was trained; a bidirectional network always does. Else its state is carried on, C times as fast.

    Returns:
      (B, steps).
    """

    def draw(key, logits, last):
        return sample_logits(key, writable(logits, last, never, separator), *sampling)

    def write_rereading(window, key):
        token = draw(key, module.apply(variables, window, train=False)[:, -1], window[:, -1])
        return jnp.concatenate([window[:, 1:], token[:, None]], axis=1), token

    def write_carrying(carry, key):
        logits, read, last = carry
        token = draw(key, logits, last)
        return (*module.apply(variables, token, read, method="step"), token), token

    keys = jax.random.split(key, steps)
    if reread or module.config.bidirectional:
        return lax.scan(write_rereading, context, keys)[1].T
    nothing = module.apply(variables, len(context), method="zero_carry")
    states, read = module.apply(variables, context, nothing, method="read")
    logits = module.apply(variables, states[:, -1:], method="tell")[:, 0]
    return lax.scan(write_carrying, (logits, read, context[:, -1]), keys)[1].T
