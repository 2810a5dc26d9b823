"""Inputs and outputs of networks for music as events, each a note (or a chord) and a duration, from two vocabularies.

Both are embedded, predicted, and sampled with a temperature of their own.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.nn.layers import Dense, embedding_uniform
from gdl_jax.nn.sampling import sample_logits


class Vocabulary(NamedTuple):
    """Vocabulary sizes of notes and durations."""

    notes: int
    durations: int


class Events(NamedTuple):
    """Token ids of events, each int32 (B, T), or (B,) for one event."""

    note: jax.Array
    duration: jax.Array


class Temperatures(NamedTuple):
    """Sampling temperatures of notes and durations, each (), at least 0: 0 is greedy, 1 the predicted distribution."""

    note: jax.Array | float
    duration: jax.Array | float


class Prediction(NamedTuple):
    """Predictions of the last T next events of a sequence.

    Attributes:
      note: logits (B, T, notes), float32.
      duration: logits (B, T, durations), float32.
      attention: (B, T, C), weights over the context's events; None without attention.
    """

    note: jax.Array
    duration: jax.Array
    attention: jax.Array | None


class Passage(NamedTuple):
    """Generated events.

    Attributes:
      events: (B, T).
      probabilities: (B, T, notes), the predicted probability of each note (at temperature 1).
      attention: (B, T, C), over the C events before each event or before the event's phrase; None without attention.
    """

    events: Events
    probabilities: jax.Array
    attention: jax.Array | None


class Embedding(nn.Module):
    """Embedding of events (B, T) or (B,) as (B, T, 2 size) or (B, 2 size): the note's vector, then the duration's."""

    vocabulary: Vocabulary
    size: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, events: Events) -> jax.Array:
        chex.assert_equal_shape(events)
        chex.assert_type(list(events), int)
        vectors = [
            nn.Embed(count, self.size, dtype=self.dtype, embedding_init=embedding_uniform, name=name)(tokens)
            for name, count, tokens in zip(Events._fields, self.vocabulary, events, strict=True)
        ]
        return jnp.concatenate(vectors, axis=-1)


class Heads(nn.Module):
    """Output layers from features (N, H) to logits of notes (N, notes) and of durations (N, durations)."""

    vocabulary: Vocabulary
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        note, duration = (
            Dense(count, dtype=self.dtype, name=name)(x).astype(jnp.float32)
            for name, count in zip(Events._fields, self.vocabulary, strict=True)
        )
        return note, duration


def draw(
    key: jax.Array, note: jax.Array, duration: jax.Array, temperatures: Temperatures, last: jax.Array, begin: int
) -> Events:
    """Samples one event (B,) for each row of logits.

    Args:
      key: for the samples.
      note, duration: logits (B, notes) and (B, durations).
      temperatures: of notes and durations.
      last: (B,), the previous notes.
      begin: the note before the beginning of a piece; never sampled twice in a row, which would be an empty piece.
    """
    chex.assert_rank([note, duration], 2)
    note_key, duration_key = jax.random.split(key)
    repeated = (last == begin)[:, None] & (jnp.arange(note.shape[-1]) == begin)
    note = jnp.where(repeated, -jnp.inf, note)
    return Events(
        sample_logits(note_key, note, temperatures.note), sample_logits(duration_key, duration, temperatures.duration)
    )
