"""An encoder and a decoder, with and without attention between them (book chapter 7, figures 7-11 to 7-13).

The encoder reads a phrase, and the decoder, which begins with the encoder's last state, writes its continuation. With
attention it is given more: before each event its state is the query of an attention over all states of the encoder, and
the context vector is fed into its cell with the event before (Bahdanau et al. 2015, section 3.1).
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast, Below, Needs
from gdl_jax.models.checks import activation, dropout_rate
from gdl_jax.models.events import Embedding, Events, Heads, Passage, Prediction, Temperatures, Vocabulary, draw
from gdl_jax.nn.attention import AdditiveAttention
from gdl_jax.nn.layers import Dropout
from gdl_jax.nn.recurrent import LSTM, RECURRENT_ACTIVATIONS, LSTMCarry


@dataclass(frozen=True, kw_only=True)
class Config:
    continuation_length: Annotated[int, AtLeast(1)] = 16  # events that the decoder writes after a phrase
    embedding_size: Annotated[int, AtLeast(1)] = 100  # numbers in the vector of a note, and of a duration
    hidden_units: Annotated[int, AtLeast(1)] = 256  # of the encoder's LSTM, and of the decoder's
    attention: bool = True  # of the decoder to all states of the encoder; else it is given the last only, to begin with
    # of the layer in which a state of the decoder meets those of the encoder
    attention_units: Annotated[int, AtLeast(1), Needs("attention")] = 128
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # of embeddings and of each LSTM's hidden states
    recurrent_activation: str = "sigmoid"  # of the LSTMs' gates, by name; the book's Keras had hard_sigmoid


class Memory(NamedTuple):
    """The encoder's states (B, C, H), which the decoder attends to, and their projection by the attention."""

    states: jax.Array
    projected: jax.Array | None


class PhraseRNN(nn.Module):
    """Encoder and decoder, which share their embeddings."""

    config: Config
    vocabulary: Vocabulary
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    def setup(self):
        config = self.config
        activate = activation(config, "recurrent_", RECURRENT_ACTIVATIONS)
        self.embedding = Embedding(self.vocabulary, config.embedding_size, self.dtype)
        self.encoder = LSTM(config.hidden_units, activate, self.dtype)
        self.decoder = LSTM(config.hidden_units, activate, self.dtype)
        if config.attention:
            self.attend = AdditiveAttention(config.attention_units, self.dtype)
        self.heads = Heads(self.vocabulary, self.dtype)
        rate = dropout_rate(config)
        self.embedding_dropout = Dropout(rate, self.axis_name)
        self.encoder_dropout = Dropout(rate, self.axis_name)
        self.decoder_dropout = Dropout(rate, self.axis_name)

    def __call__(self, note: jax.Array, duration: jax.Array, *, train: bool) -> Prediction:
        """Reads a phrase of C events and the T = continuation_length that follow, but for the last of them.

        Args:
          note, duration: (B, C + T - 1). The decoder is given the true events, not its own ("teacher forcing").
          train: turns dropout on.

        Returns:
          Predictions of the T last events; attention is (B, T, C).
        """
        chex.assert_rank([note, duration], 2)
        chex.assert_type([note, duration], int)
        length = self.config.continuation_length
        batch_size, context = note.shape[0], note.shape[1] - length + 1
        x = self.embedding_dropout(self.embedding(Events(note, duration)), not train)  # (B, C + T - 1, 200)
        memory, carry = self._encode(x[:, :context], not train)
        given = x[:, context - 1 :]  # (B, T, 200)
        if self.config.attention:  # what is fed into a cell depends on the state before it
            scan = nn.scan(
                lambda module, carry, x: module._decode(carry, x, memory),
                variable_broadcast="params",
                split_rngs={"params": False},
                in_axes=1,
                out_axes=1,
            )
            _, (hidden, attention) = scan(self, carry, given)  # (B, T, 256), (B, T, C)
        else:
            (hidden, _), attention = self.decoder(given, carry), None  # (B, T, 256)
        hidden = self.decoder_dropout(hidden, not train)
        flat = self.heads(hidden.reshape(-1, self.config.hidden_units))
        note_logits, duration_logits = (logits.reshape(batch_size, length, -1) for logits in flat)
        return Prediction(note_logits, duration_logits, attention)

    def encode(self, context: Events) -> tuple[Memory, LSTMCarry]:
        """Encodes a phrase (B, C): returns what the decoder attends to, and the state that it begins with."""
        return self._encode(self.embedding(context), True)

    def decode(self, carry: LSTMCarry, event: Events, memory: Memory) -> tuple[LSTMCarry, Prediction]:
        """Predicts one event from the decoder's state and the event before (B,): returns the new state, and T = 1."""
        carry, (hidden, attention) = self._decode(carry, self.embedding(event), memory)
        predicted = Prediction(*self.heads(hidden), attention)
        return carry, jax.tree.map(lambda x: x[:, None], predicted)

    def _encode(self, x: jax.Array, deterministic: bool) -> tuple[Memory, LSTMCarry]:
        states, carry = self.encoder(x, self.encoder.zero_carry(x.shape[0]))  # (B, C, 256)
        states = self.encoder_dropout(states, deterministic)
        return Memory(states, self.attend.project(states) if self.config.attention else None), carry

    def _decode(self, carry: LSTMCarry, x: jax.Array, memory: Memory) -> tuple[LSTMCarry, Any]:
        """One step: x (B, 200) -> the new state, and (hidden states (B, 256), attention (B, C) or None)."""
        attention = None
        if self.config.attention:
            context, attention = self.attend(carry[0], memory.states, projected=memory.projected)  # (B, 256), (B, C)
            x = jnp.concatenate([x, context.astype(x.dtype)], axis=-1)  # (B, 456)
        hidden, carry = self.decoder.step(x, carry)
        return carry, (hidden, attention)


def write_phrases(
    module: PhraseRNN,
    variables: Any,
    key: jax.Array,
    context: Events,
    steps: int,
    temperatures: Temperatures,
    *,
    begin: int,
) -> Passage:
    """Writes `steps` events after `context` (B, C): phrase after phrase, each after the C events before it.

    Args:
      module, variables: the network.
      key: decides what is drawn.
      context: (B, C).
      steps: static; of the last phrase only as much is kept as is needed.
      temperatures: of the draws.
      begin: the note that stands before a piece; see `models.events.draw`.

    Returns:
      (B, steps); attention (B, steps, C) is over the C events before the event's phrase.
    """
    length = module.config.continuation_length

    def write_phrase(context, key):
        memory, carry = module.apply(variables, context, method="encode")

        def write(moment, key):
            carry, predicted = module.apply(variables, *moment, memory, method="decode")
            predicted = jax.tree.map(lambda x: x[:, 0], predicted)
            event = draw(key, predicted.note, predicted.duration, temperatures, moment[1].note, begin)
            return (carry, event), Passage(event, jax.nn.softmax(predicted.note), predicted.attention)

        last = jax.tree.map(lambda tokens: tokens[:, -1], context)
        _, phrase = lax.scan(write, (carry, last), jax.random.split(key, length))  # (T, B, ...)
        phrase = jax.tree.map(lambda x: x.swapaxes(0, 1), phrase)
        heard = jax.tree.map(lambda past, now: jnp.concatenate([past, now], axis=1)[:, length:], context, phrase.events)
        return heard, phrase

    phrases = -(-steps // length)
    _, passage = lax.scan(write_phrase, context, jax.random.split(key, phrases))  # (phrases, B, T, ...)
    joined = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(x.shape[1], phrases * length, *x.shape[3:]), passage)
    return jax.tree.map(lambda x: x[:, :steps], joined)
