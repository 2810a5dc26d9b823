"""Encoder-decoder network for music, with and without attention (book chapter 7, figures 7-11 to 7-13).

The encoder reads a phrase; the decoder starts from the encoder's last state and generates the continuation. With
attention, the decoder's state queries all states of the encoder before each event, and the context vector joins the
previous event as input of the decoder's cell (Bahdanau et al. 2015, section 3.1).
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
    continuation_length: Annotated[int, AtLeast(1)] = 16  # events that the decoder generates after a phrase
    embedding_size: Annotated[int, AtLeast(1)] = 100  # dimensions of a note's embedding, and of a duration's
    hidden_units: Annotated[int, AtLeast(1)] = 256  # units of the encoder's LSTM, and of the decoder's
    # let the decoder attend to all states of the encoder; otherwise it only starts from the last
    attention: bool = True
    # units of the attention's hidden layer
    attention_units: Annotated[int, AtLeast(1), Needs("attention")] = 128
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0  # dropout on embeddings and on each LSTM's outputs
    recurrent_activation: str = "sigmoid"  # activation of the LSTMs' gates; the book's Keras had hard_sigmoid


class Memory(NamedTuple):
    """Encoder states (B, C, H), to which the decoder attends, and their projection by the attention."""

    states: jax.Array
    projected: jax.Array | None


class PhraseRNN(nn.Module):
    """Encoder and decoder with shared embeddings."""

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
        """Predicts the T = continuation_length events after a phrase of C events, with teacher forcing.

        Args:
          note, duration: (B, C + T - 1), the phrase and all events to predict but the last.
          train: turns dropout on.

        Returns:
          Predictions of T events; attention is (B, T, C).
        """
        chex.assert_rank([note, duration], 2)
        chex.assert_type([note, duration], int)
        length = self.config.continuation_length
        batch_size, context = note.shape[0], note.shape[1] - length + 1
        x = self.embedding_dropout(self.embedding(Events(note, duration)), not train)  # (B, C + T - 1, 200)
        memory, carry = self._encode(x[:, :context], not train)
        previous = x[:, context - 1 :]  # (B, T, 200)
        if self.config.attention:  # the decoder's input depends on its state, so step by step
            scan = nn.scan(
                lambda module, carry, x: module._decode(carry, x, memory),
                variable_broadcast="params",
                split_rngs={"params": False},
                in_axes=1,
                out_axes=1,
            )
            _, (hidden, attention) = scan(self, carry, previous)  # (B, T, 256), (B, T, C)
        else:
            (hidden, _), attention = self.decoder(previous, carry), None  # (B, T, 256)
        hidden = self.decoder_dropout(hidden, not train)
        flat = self.heads(hidden.reshape(-1, self.config.hidden_units))
        note_logits, duration_logits = (logits.reshape(batch_size, length, -1) for logits in flat)
        return Prediction(note_logits, duration_logits, attention)

    def encode(self, context: Events) -> tuple[Memory, LSTMCarry]:
        """Encodes a phrase (B, C): returns the memory that the decoder attends to, and its first carry."""
        return self._encode(self.embedding(context), True)

    def decode(self, carry: LSTMCarry, event: Events, memory: Memory) -> tuple[LSTMCarry, Prediction]:
        """Predicts one event from a carry and the previous event (B,): returns the new carry and the prediction."""
        carry, (hidden, attention) = self._decode(carry, self.embedding(event), memory)
        predicted = Prediction(*self.heads(hidden), attention)
        return carry, jax.tree.map(lambda x: x[:, None], predicted)

    def _encode(self, x: jax.Array, deterministic: bool) -> tuple[Memory, LSTMCarry]:
        states, carry = self.encoder(x, self.encoder.zero_carry(x.shape[0]))  # (B, C, 256)
        states = self.encoder_dropout(states, deterministic)
        return Memory(states, self.attend.project(states) if self.config.attention else None), carry

    def _decode(self, carry: LSTMCarry, x: jax.Array, memory: Memory) -> tuple[LSTMCarry, Any]:
        """Takes one step: x (B, 200) -> the new carry, and (hidden states (B, 256), attention (B, C) or None)."""
        attention = None
        if self.config.attention:
            context, attention = self.attend(carry[0], memory.states, projected=memory.projected)  # (B, 256), (B, C)
            x = jnp.concatenate([x, context.astype(x.dtype)], axis=-1)  # (B, 456)
        hidden, carry = self.decoder.step(x, carry)
        return carry, (hidden, attention)


def generate(
    module: PhraseRNN,
    variables: Any,
    key: jax.Array,
    context: Events,
    steps: int,
    temperatures: Temperatures,
    *,
    begin: int,
) -> Passage:
    """Generates `steps` events after `context` (B, C), phrase by phrase, each from the C events before it.

    Args:
      module, variables: the network.
      key: for the samples.
      context: (B, C).
      steps: static; the last phrase is cut to fit.
      temperatures: of notes and durations.
      begin: the note before the beginning of a piece; see `models.events.draw`.

    Returns:
      (B, steps); attention (B, steps, C) is over the C events before the event's phrase.
    """
    length = module.config.continuation_length

    def generate_phrase(context, key):
        memory, carry = module.apply(variables, context, method="encode")

        def generate_event(state, key):
            carry, predicted = module.apply(variables, *state, memory, method="decode")
            predicted = jax.tree.map(lambda x: x[:, 0], predicted)
            event = draw(key, predicted.note, predicted.duration, temperatures, state[1].note, begin)
            return (carry, event), Passage(event, jax.nn.softmax(predicted.note), predicted.attention)

        last = jax.tree.map(lambda tokens: tokens[:, -1], context)
        _, phrase = lax.scan(generate_event, (carry, last), jax.random.split(key, length))  # (T, B, ...)
        phrase = jax.tree.map(lambda x: x.swapaxes(0, 1), phrase)
        events = jax.tree.map(lambda past, new: jnp.concatenate([past, new], axis=1), context, phrase.events)
        return jax.tree.map(lambda x: x[:, length:], events), phrase

    phrases = -(-steps // length)
    _, passage = lax.scan(generate_phrase, context, jax.random.split(key, phrases))  # (phrases, B, T, ...)
    joined = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(x.shape[1], phrases * length, *x.shape[3:]), passage)
    return jax.tree.map(lambda x: x[:, :steps], joined)
