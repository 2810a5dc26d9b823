"""Music as tokens: MuseNet's events, and Bach's chorales on a grid.

Events (Payne 2019) say that a note of an instrument begins with a volume or ends, or that time passes. Their numbers
are those of MuseNet's public service, as MuseTree decodes them: 31 groups of 128 pitches, then waits of 1 to 128 units,
then the start of a piece. Composers and instruments follow here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.data.music.notes import PITCHES, from_rolls
from gdl_jax.data.music.performances import (
    DRUM_LENGTH,
    DRUMS,
    INSTRUMENT,
    INSTRUMENTS,
    LENGTH,
    PITCH,
    START,
    VOLUME,
    VOLUMES,
    as_performance,
    from_score,
)

PIANO_VOLUMES = (0, *range(24, 121, 8))  # 0 ends a note
# (instrument, volume) of each group of pitches.
GROUPS = (
    *((0, volume) for volume in PIANO_VOLUMES),
    *((player, volume) for player in range(1, DRUMS) for volume in (VOLUME, 0)),
    (DRUMS, VOLUME),
)
NOTES = len(GROUPS) * PITCHES  # 3968, the first wait
LONGEST_WAIT = 128  # units
BEGIN = NOTES + LONGEST_WAIT  # 4096
SILENCE, GRID_BEGIN, GRID_SIZE = PITCHES, PITCHES + 1, PITCHES + 2  # on the grid
STEP = 12  # units of a grid's step, a sixteenth note
_GROUP_OF = {pair: number for number, pair in enumerate(GROUPS)}


@dataclass(frozen=True)
class EventTokens:
    """Tokens of performed notes of composers.

    Attributes:
      composers: names, in the order of their tokens.
      ensembles: of each composer, the instruments of most of the training pieces.
    """

    composers: tuple[str, ...]
    ensembles: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of tokens: events, the beginning, composers and instruments."""
        return BEGIN + 1 + len(self.composers) + len(INSTRUMENTS)

    def header(self, composer: str, players: Iterable[int]) -> np.ndarray:
        """Returns the tokens before a piece: the beginning, its composer, and its instruments in ascending order."""
        first = BEGIN + 1
        chosen = [first + len(self.composers) + player for player in sorted(set(players))]
        return np.array([BEGIN, first + self.composers.index(composer), *chosen], np.int32)

    def usual_header(self, composer: str) -> np.ndarray:
        """Returns the header of a piece by a composer for the instruments of most of his training pieces."""
        return self.header(composer, self.ensembles[self.composers.index(composer)])

    def encode(self, performance: np.ndarray) -> np.ndarray:
        """Returns the events (T,) int32 of performed notes (N, 5); at equal times, ends come first."""
        players, pitches = performance[:, INSTRUMENT], performance[:, PITCH]
        volumes = np.where(players == 0, nearest_volume(performance[:, VOLUMES]), VOLUME)
        begin = _tokens(players, volumes, pitches)
        end = _tokens(players, np.zeros_like(volumes), pitches, keep=players != DRUMS)
        ended = performance[players != DRUMS]
        times = np.concatenate([ended[:, START] + ended[:, LENGTH], performance[:, START]])
        tokens = np.concatenate([end, begin])
        order = np.lexsort((tokens, np.arange(len(tokens)) >= len(end), times))
        times, tokens = times[order], tokens[order]
        gaps = np.diff(times, prepend=times[:1])
        return np.array(
            [part for gap, token in zip(gaps.tolist(), tokens.tolist(), strict=True) for part in (*waits(gap), token)],
            np.int32,
        )

    def decode(self, tokens: Sequence[int]) -> np.ndarray:
        """Returns the performed notes (N, 5) of tokens.

        A note that is struck again ends; ends without a beginning are ignored; open notes last to the end.
        """
        sounding, rows, now = {}, [], 0

        def end(key):
            start, volume = sounding.pop(key)
            rows.append((start, max(now - start, 1), key[1], volume, key[0]))

        for token in map(int, tokens):
            if NOTES <= token < BEGIN:
                now += token - NOTES + 1
            elif token < NOTES:
                (player, volume), pitch = GROUPS[token // PITCHES], token % PITCHES
                if player == DRUMS:
                    rows.append((now, DRUM_LENGTH, pitch, volume, player))
                    continue
                if (player, pitch) in sounding:
                    end((player, pitch))
                if volume:
                    sounding[player, pitch] = now, volume
        for key in list(sounding):
            end(key)
        return as_performance(rows)


@dataclass(frozen=True)
class GridTokens:
    """Tokens of four voices on a grid of sixteenth notes: soprano, alto, tenor and bass of each step in turn.

    A token is a MIDI pitch, SILENCE, or GRID_BEGIN, which fills a step before a piece. Held and repeated notes are the
    same.
    """

    composers: tuple[str, ...] = ("bach",)
    voices: int = 4

    def usual_header(self, composer: str) -> np.ndarray:
        """Returns the tokens before a piece."""
        del composer
        return np.full(self.voices, GRID_BEGIN, np.int32)

    @property
    def size(self) -> int:
        """Number of tokens."""
        return GRID_SIZE

    def encode(self, steps: np.ndarray) -> np.ndarray:
        """Returns the tokens (steps * voices,) int32 of pitches (steps, voices), -1 where a voice is silent."""
        return np.where(steps < 0, SILENCE, steps.astype(np.int32)).ravel()

    def decode(self, tokens: Sequence[int]) -> np.ndarray:
        """Returns the performed notes (N, 5), by pianos, of tokens; those of an incomplete step are left out."""
        pitches = np.array([token for token in tokens if token != GRID_BEGIN], int)
        steps = pitches[: len(pitches) // self.voices * self.voices].reshape(-1, self.voices)
        roll = steps[:, None] == np.arange(PITCHES)[:, None]  # (steps, pitches, voices)
        return from_score(from_rolls(roll), ("piano",))


def nearest_volume(velocities: np.ndarray) -> np.ndarray:
    """Returns the nearest of PIANO_VOLUMES other than 0, element by element."""
    return np.clip((velocities + 4) // 8 * 8, PIANO_VOLUMES[1], PIANO_VOLUMES[-1])


def waits(gap: int) -> list[int]:
    """Returns the tokens of a pause of `gap` units."""
    whole, rest = divmod(gap, LONGEST_WAIT)
    return [BEGIN - 1] * whole + [NOTES + rest - 1] * (rest > 0)


def _tokens(
    players: np.ndarray, volumes: np.ndarray, pitches: np.ndarray, keep: np.ndarray | None = None
) -> np.ndarray:
    """Returns the tokens of notes, or of those where `keep` is true."""
    if keep is not None:
        players, volumes, pitches = players[keep], volumes[keep], pitches[keep]
    pairs = zip(players.tolist(), volumes.tolist(), strict=True)
    return np.array([_GROUP_OF[pair] for pair in pairs], int) * PITCHES + pitches


def transposed(tokens: jax.Array, semitones: jax.Array, notes: int) -> jax.Array:
    """Returns tokens (T,) with all pitches moved equally, by less where one would leave MIDI's range; drums stay.

    Args:
      tokens: of events or of a grid.
      semitones: ().
      notes: the number of tokens that are notes: NOTES, or PITCHES on a grid.
    """
    moves = (tokens < notes) & (tokens < _GROUP_OF[DRUMS, VOLUME] * PITCHES)
    pitch = tokens % PITCHES
    lowest = jnp.where(moves, pitch, PITCHES).min()
    highest = jnp.where(moves, pitch, -1).max()
    shift = jnp.clip(semitones, -lowest, PITCHES - 1 - highest)
    return jnp.where(moves, tokens + shift, tokens)


def stretched(tokens: jax.Array, factor: jax.Array) -> jax.Array:
    """Returns events (T,) whose waits last `factor` times as long, rounded to units; at least 1 and at most 128."""
    units = tokens - NOTES + 1
    longer = jnp.clip(jnp.round(units * factor).astype(tokens.dtype), 1, LONGEST_WAIT)
    return jnp.where((tokens >= NOTES) & (tokens < BEGIN), longer + NOTES - 1, tokens)
