"""The recurrent network that composes, with and without attention (book 07_02, figure 7-8).

It reads a window of events and predicts the next one, with two LSTMs, one above the other. The heads are given the mean
of the second one's hidden states, weighted by attention, or only the last of them.
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
    embedding_size: Annotated[int, AtLeast(1)] = 100  # numbers in the vector of a note, and of a duration
    hidden_units: Annotated[int, AtLeast(1)] = 256  # of each LSTM
    attention: bool = True  # over the second LSTM's hidden states; else only the last counts
    # of embeddings and of each LSTM's hidden states; the book's code has it commented out
    dropout_rate: Annotated[float, AtLeast(0), Below(1)] = 0.0
    recurrent_activation: str = "sigmoid"  # of the LSTMs' gates, by name; the book's Keras had hard_sigmoid


class MusicRNN(nn.Module):
    """Events (B, C) -> what comes after the last of them."""

    config: Config
    vocabulary: Vocabulary
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, note: jax.Array, duration: jax.Array, *, train: bool) -> Prediction:
        """note, duration (B, C) -> a prediction of one event, T = 1; `train` turns dropout on."""
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


def write_on(
    module: MusicRNN,
    variables: Any,
    key: jax.Array,
    context: Events,
    steps: int,
    temperatures: Temperatures,
    *,
    begin: int,
) -> Passage:
    """Writes `steps` events, one by one, after `context` (B, C).

    Before each it reads the last C events again, from a state of zeros. That is all that it is ever trained to do: an
    LSTM whose state were carried on would come to states that it was never trained on, and attention over its hidden
    states needs those of a reading that began C events before.

    Args:
      module, variables: the network.
      key: decides what is drawn.
      context: (B, C), with the C that the network was trained with.
      steps: static.
      temperatures: of the draws.
      begin: the note that stands before a piece; see `models.events.draw`.

    Returns:
      (B, steps); attention (B, steps, C) is over the C events before each.
    """

    def write(window, key):
        predicted = jax.tree.map(lambda x: x[:, 0], module.apply(variables, *window, train=False))
        event = draw(key, predicted.note, predicted.duration, temperatures, window.note[:, -1], begin)
        window = jax.tree.map(lambda past, now: jnp.concatenate([past[:, 1:], now[:, None]], axis=1), window, event)
        return window, Passage(event, jax.nn.softmax(predicted.note), predicted.attention)

    _, passage = lax.scan(write, context, jax.random.split(key, steps))
    return jax.tree.map(lambda x: x.swapaxes(0, 1), passage)
