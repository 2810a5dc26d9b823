"""Music as events, each a note (a chord of a vocabulary) and a duration: what goes into networks and comes out of them.

Both kinds of token are embedded, both are predicted, and what is predicted next is drawn with a temperature each.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.nn.layers import Dense, embedding_uniform
from gdl_jax.nn.sampling import sample_logits


class Vocabulary(NamedTuple):
    """Numbers of different notes and durations."""

    notes: int
    durations: int


class Events(NamedTuple):
    """Tokens, each int32 (B, T), or (B,) of one event."""

    note: jax.Array
    duration: jax.Array


class Temperatures(NamedTuple):
    """Temperatures at which notes and durations are drawn, each (), at least 0: 0 is the most probable, 1 as learnt."""

    note: jax.Array | float
    duration: jax.Array | float


class Prediction(NamedTuple):
    """Logits of the last T of the events that come after each of a row of events.

    Attributes:
      note: (B, T, notes), float32.
      duration: (B, T, durations), float32.
      attention: (B, T, C), the weights of the context's events; None where the network has no attention.
    """

    note: jax.Array
    duration: jax.Array
    attention: jax.Array | None


class Passage(NamedTuple):
    """Events that a network generated.

    Attributes:
      events: (B, T).
      probabilities: (B, T, notes), the predicted probability of each note (at temperature 1).
      attention: (B, T, C), as in `Prediction`: of the C events before each or, of a phrase, before its first.
    """

    events: Events
    probabilities: jax.Array
    attention: jax.Array | None


class Embedding(nn.Module):
    """Events (B, T), or (B,) -> (B, T, 2 size), or (B, 2 size): the note's vector and the duration's."""

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
    """(N, H) -> logits of the note (N, notes) and of the duration (N, durations)."""

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
    """Draws one event (B,) for each row of logits (B, notes) and (B, durations).

    Args:
      key: decides what is drawn.
      note, duration: the logits.
      temperatures: of the draws.
      last: (B,) the note before, of each row.
      begin: the note that stands before a piece. It never follows itself: what has not begun does not end.
    """
    chex.assert_rank([note, duration], 2)
    note_key, duration_key = jax.random.split(key)
    silent = (last == begin)[:, None] & (jnp.arange(note.shape[-1]) == begin)
    note = jnp.where(silent, -jnp.inf, note)
    return Events(
        sample_logits(note_key, note, temperatures.note), sample_logits(duration_key, duration, temperatures.duration)
    )
