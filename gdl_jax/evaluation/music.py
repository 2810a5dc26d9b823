"""Metrics of music: pure functions of one piece, to be mapped over many with `jax.vmap`.

A piano roll is (..., pitches), positive where a pitch sounds and 0 or -1 where it is silent. Its first pitch is a C, as
is MIDI pitch 0. A metric that is undefined because nothing sounds is NaN.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

OCTAVE = 12
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)  # semitones above its tonic
BEAT = 4  # steps (sixteenth notes)
# The circles of fifths, minor thirds and major thirds of the tonal centroid: turns per semitone, and radius.
CIRCLES = ((7 / 12, 1.0), (3 / 12, 1.0), (4 / 12, 0.5))


def _scales() -> np.ndarray:
    """Returns (12 tonics, 12 pitch classes), 1 for members of the major scale and so of its relative natural minor."""
    scales = np.zeros((OCTAVE, OCTAVE), np.float32)
    for tonic in range(OCTAVE):
        scales[tonic, [(tonic + step) % OCTAVE for step in MAJOR_SCALE]] = 1
    return scales


def event_roll(note: jax.Array, duration: jax.Array, pitches: jax.Array, quarters: jax.Array) -> jax.Array:
    """Returns a piano roll with one row per event; values are the durations of its pitches, in quarter notes.

    Args:
      note, duration: (T,) tokens.
      pitches: (V, P), 1 for the pitches of each note token, else 0.
      quarters: (D,), length of each duration token in quarter notes.

    Returns:
      (T, P), as `pitch_class_counts` and `pitch_range` take it.
    """
    return pitches[note] * quarters[duration][:, None]


def pitch_class_counts(roll: jax.Array) -> jax.Array:
    """Returns the total duration of each pitch class, C first: (steps, P) -> (12,)."""
    by_pitch = jnp.maximum(roll, 0).sum(axis=0)
    return jnp.zeros(OCTAVE).at[jnp.arange(roll.shape[1]) % OCTAVE].add(by_pitch)


def scale_consistency(counts: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the share of the sound that lies in the best-fitting scale (Mogren 2016, C-RNN-GAN), and that scale.

    All major and natural minor scales are tried; a minor scale has the notes of its relative major. Music that uses all
    pitch classes equally scores 7 / 12.

    Args:
      counts: (12,), from `pitch_class_counts`.

    Returns:
      (share in [7 / 12, 1], pitch class of the tonic of the best major scale).
    """
    shares = jnp.asarray(_scales()) @ counts / counts.sum()
    return shares.max(), shares.argmax()


def pitch_range(roll: jax.Array) -> jax.Array:
    """Returns the semitones from the lowest pitch to the highest: (steps, P) -> scalar."""
    used = (roll > 0).any(axis=0)
    lowest, highest = jnp.argmax(used), used.size - 1 - jnp.argmax(used[::-1])
    return jnp.where(used.any(), (highest - lowest).astype(jnp.float32), jnp.nan)


def pitch_classes_per_bar(roll: jax.Array) -> jax.Array:
    """Returns the number of pitch classes in each bar (Dong et al. 2018, MuseGAN): (bars, steps, P) -> (bars,)."""
    return (jax.vmap(pitch_class_counts)(roll) > 0).sum(axis=-1)


def note_lengths(roll: jax.Array) -> jax.Array:
    """Counts the notes that last 1, 2, ... steps: (steps, P) -> (steps,).

    Consecutive steps of a pitch count as one note: a piano roll cannot distinguish held from repeated notes.
    """
    on = roll > 0
    step = jnp.arange(len(on))[:, None]
    silent_before = lax.cummax(jnp.where(on, -1, step), axis=0)  # the last silent step of each pitch so far
    ends = on & ~jnp.concatenate([on[1:], jnp.zeros_like(on[:1])])
    return jnp.zeros(len(on), jnp.int32).at[step - silent_before - 1].add(ends)


def polyphony(roll: jax.Array) -> jax.Array:
    """Returns the mean number of simultaneous pitches, over steps that have any (as in MusPy): (steps, P) -> scalar."""
    count = (roll > 0).sum(axis=-1)
    return count.sum() / (count > 0).sum()


def tonal_centroid(counts: jax.Array) -> jax.Array:
    """Returns the tonal centroid, a chord's position on three circles (Harte et al. 2006): (..., 12) -> (..., 6)."""
    turns, radii = (jnp.array(column) for column in zip(*CIRCLES, strict=True))
    angles = 2 * jnp.pi * turns * jnp.arange(OCTAVE)[:, None]  # (12, 3)
    basis = jnp.concatenate([radii * jnp.sin(angles), radii * jnp.cos(angles)], axis=1)
    return counts @ basis / counts.sum(axis=-1, keepdims=True)


def tonal_distance(first: jax.Array, second: jax.Array, window: int = BEAT) -> jax.Array:
    """Returns the tonal distance of two tracks (Harte et al. 2006; used for MuseGAN).

    It is the Euclidean distance of their tonal centroids, averaged over the windows in which both sound.

    Args:
      first, second: (steps, P).
      window: steps of a window, a divisor of all steps.

    Returns:
      A scalar in [0, 3]; 0 for equal pitch classes.
    """
    centroids = [
        tonal_centroid(jax.vmap(pitch_class_counts)(track.reshape(-1, window, track.shape[-1])))
        for track in (first, second)
    ]
    return jnp.nanmean(jnp.linalg.norm(centroids[0] - centroids[1], axis=-1))


def describe(roll: jax.Array) -> dict[str, jax.Array]:
    """Returns all metrics of a piece (bars, steps, P, tracks), averaged over its tracks, bars and pairs of tracks."""
    bars, steps, pitches, tracks = roll.shape
    by_track = jnp.moveaxis(roll, -1, 0)  # (tracks, bars, steps, P)
    flat = by_track.reshape(tracks, bars * steps, pitches)
    together = jnp.maximum(flat, 0)
    lengths = jax.vmap(note_lengths)(flat).sum(axis=0)
    numbers = {
        "pitch_range": jnp.nanmean(jax.vmap(pitch_range)(flat)),
        "pitch_classes_a_bar": jax.vmap(pitch_classes_per_bar)(by_track).mean(),
        "share_in_one_scale": scale_consistency(pitch_class_counts(together.sum(axis=0)))[0],
        "steps_a_note": (lengths * jnp.arange(1, bars * steps + 1)).sum() / lengths.sum(),
        "polyphony": polyphony(together.max(axis=0)),
    }
    if tracks > 1:
        first, second = np.triu_indices(tracks, 1)
        numbers["tonal_distance"] = jnp.nanmean(jax.vmap(tonal_distance)(flat[first], flat[second]))
    return numbers


@jax.jit
def mean_description(rolls: jax.Array) -> dict[str, jax.Array]:
    """Returns the means of `describe` over pieces (N, bars, steps, P, tracks), ignoring undefined values."""
    return {name: jnp.nanmean(values) for name, values in jax.vmap(describe)(rolls).items()}


def shuffled(key: jax.Array, roll: jax.Array) -> jax.Array:
    """Returns a piece (bars, steps, P, tracks) with the steps of each track shuffled independently: a baseline."""
    bars, steps, pitches, tracks = roll.shape
    flat = jnp.moveaxis(roll.reshape(bars * steps, pitches, tracks), -1, 0)
    mixed = jax.vmap(jax.random.permutation)(jax.random.split(key, tracks), flat)
    return jnp.moveaxis(mixed, 0, -1).reshape(roll.shape)
