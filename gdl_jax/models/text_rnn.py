"""Recurrent networks that tell the next token of a text, a word or a character (book 06_01).

The book's reads a window of words and tells the one after the last. What it has read is in its state, so that text is
written word by word without reading anything twice.

A bidirectional network reads the window both ways, and tells from the last states of both what comes after it. It can't
learn at every position, where its way back has seen what it is to tell, nor be carried on: for each word that it writes
it reads the window again.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.errors import UserError
from gdl_jax.models.checks import activation, dropout_rate
from gdl_jax.nn.dense import dense
from gdl_jax.nn.layers import Dense, Dropout, embedding_uniform
from gdl_jax.nn.recurrent import GRU, LSTM, RECURRENT_ACTIVATIONS, bidirectional
from gdl_jax.nn.sampling import Number, sample_logits

CELLS = ("lstm", "gru")


@dataclass(frozen=True, kw_only=True)
class Config:
    embedding_size: int = 100  # numbers in the vector of a token
    cell: str = "lstm"  # of the recurrent layers: lstm or gru
    hidden_units: int = 256  # of each layer, in each direction
    layers: int = 1  # recurrent layers, one above the other
    bidirectional: bool = False  # read the window both ways, and tell only what comes after it
    every_position: bool = False  # learn what follows each token of a window; the book: what follows the last
    tied: bool = False  # tokens are told by the vectors they are read as (Press & Wolf 2017)
    dropout_rate: float = 0.0  # of what each recurrent layer gives on; the book's text has 0.2, its code none
    embedding_dropout_rate: float = 0.0  # of the tokens' vectors
    recurrent_activation: str = "sigmoid"  # of the gates, by name; the book's Keras had hard_sigmoid
    reset_after: bool = True  # where GRUs reset their state: after the product (Keras since 2.3) or before (book)


class Boldness(NamedTuple):
    """How tokens are drawn, each () or (B,); see `nn.sampling.sample_logits`."""

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
            raise UserError(f"--cell={config.cell}: unknown; choose one of {', '.join(CELLS)}")
        if config.bidirectional and config.every_position:
            raise UserError("--bidirectional and --every_position: reading back, it would see what it is to tell")
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

    def __call__(self, tokens: jax.Array, train: bool) -> jax.Array:
        """Windows -> what comes after them.

        Args:
          tokens: (B, C), integers in [0, V).
          train: turns dropout on, and telling at every position where the config has it.

        Returns:
          Logits (B, 1, V) of what follows the last token or, where every_position is learnt, (B, C, V) of what follows
          each; float32.
        """
        if self.config.bidirectional:
            return self.tell(self._read_both_ways(tokens, train))
        states, _ = self.read(tokens, self.zero_carry(len(tokens)), train)  # (B, C, 256)
        return self.tell(states if train and self.config.every_position else states[:, -1:])

    def read(self, tokens: jax.Array, carry: tuple, train: bool = False) -> tuple[jax.Array, tuple]:
        """(B, C), what was read before -> states of the last layer (B, C, hidden_units), what has been read now."""
        x = self.embedding_dropout(self.embedding(tokens), deterministic=not train)  # (B, C, 100)
        carries = []
        for layer, dropout, before in zip(self.forward, self.dropouts, carry, strict=True):
            x, after = layer(x, before)  # (B, C, 256)
            x = dropout(x, deterministic=not train)
            carries.append(after)
        return x, tuple(carries)

    def step(self, token: jax.Array, carry: tuple) -> tuple[jax.Array, tuple]:
        """One more token (B,), what was read before -> logits (B, V) of what follows, what has been read now."""
        states, carry = self.read(token[:, None], carry)
        return self.tell(states)[:, 0], carry

    def tell(self, states: jax.Array) -> jax.Array:
        """(B, T, features) -> logits (B, T, V)."""
        flat = states.reshape(-1, states.shape[-1])
        if self.config.tied:
            vectors = self.to_vector(flat)  # (B T, 100)
            logits = dense(vectors, self.embedding.embedding.astype(vectors.dtype).T) + self.bias
        else:
            logits = self.words(flat)
        return logits.astype(jnp.float32).reshape(*states.shape[:2], -1)

    def zero_carry(self, batch_size: int) -> tuple:
        """What has been read before anything is."""
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
    """Logits (B, V) after the tokens `last` (B,), -inf for what is not written.

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
    boldness: Boldness,
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
      boldness: of the draws.
      never, separator: see `writable`.
      reread: whether the last C tokens are read anew, from nothing, before each that is written, as the book does and
        as the network was trained; a bidirectional network always does. Else its state is carried on, C times as fast.

    Returns:
      (B, steps).
    """

    def draw(key, logits, last):
        return sample_logits(key, writable(logits, last, never, separator), *boldness)

    def write_rereading(window, key):
        token = draw(key, module.apply(variables, window, False)[:, -1], window[:, -1])
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
