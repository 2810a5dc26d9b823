"""What music as tokens is worth: copies in any key, its composer by a simple classifier, and baselines of its loss.

Intervals describe tokens regardless of the key: a note is its distance to the note before, or on a grid to the same
voice a step before.
"""

from collections.abc import Mapping, Sequence

import numpy as np

PITCHES = 128
SAME = PITCHES  # code of the interval 0
CODES = 2 * PITCHES + 1  # intervals of -128 to 128 semitones


def event_intervals(tokens: np.ndarray, notes: int) -> np.ndarray:
    """Returns events (T,) with each pitch replaced by its interval, as (T,) integers.

    Args:
      tokens: those below `notes` are 128 pitches of each of several groups.
      notes: number of these.
    """
    is_note = tokens < notes
    pitches = (tokens % PITCHES)[is_note]
    coded = np.where(is_note, 0, CODES * (notes // PITCHES) + tokens)
    coded[is_note] = tokens[is_note] // PITCHES * CODES + np.diff(pitches, prepend=pitches[:1]) + SAME
    return coded


def grid_intervals(tokens: np.ndarray, voices: int) -> np.ndarray:
    """Returns the tokens (T,) of a grid with pitches replaced by intervals, where the voice sounded a step before."""
    before = np.concatenate([np.full(min(voices, len(tokens)), PITCHES), tokens[:-voices]])[: len(tokens)]
    both = (tokens < PITCHES) & (before < PITCHES)
    return np.where(both, tokens - before + SAME, CODES + np.where(tokens < PITCHES, PITCHES + 2, tokens))


def style_counts(tokens: np.ndarray, notes: int, waits: int) -> np.ndarray:
    """Returns how often each interval between successive notes and each wait occurs among events, (257 + waits,).

    Args:
      tokens: (T,); those below `notes` are 128 pitches of each of several groups, the next are `waits`.
      notes, waits: numbers of these.
    """
    pitches = tokens[tokens < notes] % PITCHES
    lasting = tokens[(tokens >= notes) & (tokens < notes + waits)] - notes
    intervals = np.bincount(np.diff(pitches) + SAME, minlength=CODES)
    return np.concatenate([intervals, np.bincount(lasting, minlength=waits)])


def classify(training: Mapping[str, np.ndarray], counts: np.ndarray) -> list[str]:
    """Returns the likeliest class of each row of counts, by multinomial Naive Bayes with equal priors.

    Each class has K counts more, in the proportions of all classes together, so that one with few examples does not
    seem likely for whatever is unusual.

    Args:
      training: {class: counts (K,)} of all its training examples.
      counts: (N, K).
    """
    names = list(training)
    seen = np.stack([training[name] for name in names]).astype(float)
    together = seen.sum(axis=0) + 1.0
    shares = seen + together * seen.shape[1] / together.sum()
    logs = np.log(shares / shares.sum(axis=1, keepdims=True))
    return [names[best] for best in (counts @ logs.T).argmax(axis=1)]


def copy_loss(training: np.ndarray, tokens: np.ndarray, size: int, back: int) -> float:
    """Returns the mean loss in nats of predicting that a token is the one `back` places before.

    It is so with the training tokens' probability; else the token is drawn from their frequencies, with one added to
    each.

    Args:
      training: (M,), in [0, size).
      tokens: (T,), to predict; the first `back` are not.
      size: number of tokens.
      back: places.
    """
    same = (training[back:] == training[:-back]).mean()
    shares = (np.bincount(training, minlength=size) + 1.0) / (len(training) + size)
    expected = (1 - same) * shares[tokens[back:]] + same * (tokens[back:] == tokens[:-back])
    return float(-np.log(expected).mean())


def unigram_loss(training: np.ndarray, tokens: np.ndarray, size: int) -> float:
    """Returns the mean loss in nats of the training tokens' frequencies, with one added to each."""
    shares = (np.bincount(training, minlength=size) + 1.0) / (len(training) + size)
    return float(-np.log(shares[tokens]).mean())


def piece_rolls(pieces: Sequence[np.ndarray], bars: int, ticks_per_step: int, steps_per_bar: int) -> np.ndarray:
    """Returns piano rolls (N, bars, steps, 128, 1) of the beginnings of scores (N, 4), for `evaluation.music`."""
    rolls = np.zeros((len(pieces), bars * steps_per_bar, PITCHES, 1), np.float32)
    for roll, notes in zip(rolls, pieces, strict=True):
        for start, length, pitch, _ in notes.tolist():
            first = start // ticks_per_step
            roll[first : max(first + 1, -(-(start + length) // ticks_per_step)), pitch] = 1.0
    return rolls.reshape(len(pieces), bars, steps_per_bar, PITCHES, 1)
