"""Recurrent network for music, with and without attention (book 07_02, figure 7-8).

Two stacked LSTMs read a window of events. The heads predict the next event from the attention-weighted mean of the
second LSTM's hidden states or, without attention, from the last of them.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from gdl_jax.core.config_flags import AtLeast, Below
from gdl_jax.models.checks import activation, dropout_rate
from gdl_jax.models.events import Embedding, Events, Heads, Passage, Prediction, Temperatures, Vocabulary, draw
from gdl_jax.nn.attention import AttentionPool
from gdl_jax.nn.layers import Dropout
from gdl_jax.nn.recurrent import LSTM, RECURRENT_ACTIVATIONS


@dataclass(frozen=True, kw_only=True)
class Config:
    embedding_size: Annotated[int, AtLeast(1)] = 100  # dimensions of a note's embedding, and of a duration's
    hidden_units: Annotated[int, AtLeast(1)] = 256  # units of each LSTM
    attention: bool = True  # attend to all hidden states of the second LSTM; otherwise use only the last
    # dropout on embeddings and on each LSTM's outputs; commented out in the book's code
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    recurrent_activation: str = "sigmoid"  # activation of the LSTMs' gates; the book's Keras had hard_sigmoid


class MusicRNN(nn.Module):
    """Network from a window of events to a prediction of the next one."""

    config: Config
    vocabulary: Vocabulary
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, note: jax.Array, duration: jax.Array, *, train: bool) -> Prediction:
        """Predicts one event (T = 1) from notes and durations (B, C); `train` turns dropout on."""
        chex.assert_rank([note, duration], 2)
        chex.assert_type([note, duration], int)
        config = self.config
        activate = activation(config, "recurrent_", RECURRENT_ACTIVATIONS)
        rate = dropout_rate(config)

        def dropped(x):
            return Dropout(rate, self.axis_name)(x, deterministic=not train)

        x = Embedding(self.vocabulary, config.embedding_size, self.dtype, name="embedding")(Events(note, duration))
        x = dropped(x)  # (B, C, 200)
        for i in range(2):
            lstm = LSTM(config.hidden_units, activate, self.dtype, name=f"lstm_{i}")
            x, _ = lstm(x, lstm.zero_carry(x.shape[0]))
            x = dropped(x)  # (B, C, 256)
        if config.attention:
            context, weights = AttentionPool(self.dtype, name="attention")(x)  # (B, 256), (B, C)
        else:
            context, weights = x[:, -1], None  # (B, 256)
        note_logits, duration_logits = Heads(self.vocabulary, self.dtype, name="heads")(context)
        return Prediction(note_logits[:, None], duration_logits[:, None], None if weights is None else weights[:, None])


def generate(
    module: MusicRNN,
    variables: Any,
    key: jax.Array,
    context: Events,
    steps: int,
    temperatures: Temperatures,
    *,
    begin: int,
) -> Passage:
    """Generates `steps` events, one at a time, after `context` (B, C).

    Before each event the network reads the last C events from the zero state, as in training. Carrying the LSTMs' state
    over would lead to states never seen in training, and attention needs the hidden states of the last C events.

    Args:
      module, variables: the network.
      key: for the samples.
      context: (B, C), with the C of training.
      steps: static.
      temperatures: of notes and durations.
      begin: the note before the beginning of a piece; see `models.events.draw`.

    Returns:
      (B, steps); attention (B, steps, C) is over the C events before each.
    """

    def generate_event(window, key):
        predicted = jax.tree.map(lambda x: x[:, 0], module.apply(variables, *window, train=False))
        event = draw(key, predicted.note, predicted.duration, temperatures, window.note[:, -1], begin)
        window = jax.tree.map(lambda past, now: jnp.concatenate([past[:, 1:], now[:, None]], axis=1), window, event)
        return window, Passage(event, jax.nn.softmax(predicted.note), predicted.attention)

    _, passage = lax.scan(generate_event, context, jax.random.split(key, steps))
    return jax.tree.map(lambda x: x.swapaxes(0, 1), passage)
