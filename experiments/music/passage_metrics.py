"""Metrics of generated passages: share of notes in key, length, share of events copied from the training pieces."""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.music.events import PASSAGES
from gdl_jax.data.music.events import Music
from gdl_jax.data.music.notes import pitch_table
from gdl_jax.evaluation.copying import copied_shares
from gdl_jax.evaluation.music import MAJOR_SCALE, OCTAVE, event_roll, pitch_class_counts, scale_consistency
from gdl_jax.models.events import Events, Passage
from gdl_jax.runs.experiment import Results, Run

COPIED = 8  # length of the n-grams of events that count as copied


def pitch_classes(data: Music, events: Events) -> np.ndarray:
    """Returns the sounding time of each pitch class in each passage: (N, T) -> (N, 12)."""
    quarters = np.array(list(map(float, data.durations)), np.float32)
    return np.asarray(_pitch_classes(events, pitch_table(data.notes), quarters))


@jax.jit
def _pitch_classes(events: Events, pitches: jax.Array, quarters: jax.Array) -> jax.Array:
    rolls = jax.vmap(event_roll, (0, 0, None, None))(*events, pitches, quarters)  # (N, T, 128)
    return jax.vmap(pitch_class_counts)(rolls)


_best_scales = jax.jit(jax.vmap(scale_consistency))


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def share_in_key(counts: np.ndarray) -> float:
    """Returns the mean share of sounding time in each passage's best-fitting scale: (N, 12) -> scalar."""
    shares = np.asarray(_best_scales(counts)[0])
    return _mean(shares[counts.sum(axis=1) > 0])


def share_in_key_of(counts: np.ndarray, references: np.ndarray) -> float:
    """Returns the mean share of sounding time in a reference passage's best-fitting scale: (N, 12) twice -> scalar."""
    both = (counts.sum(axis=1) > 0) & (references.sum(axis=1) > 0)
    tonics = np.asarray(_best_scales(references)[1])
    scales = (tonics[:, None] + np.array(MAJOR_SCALE)) % OCTAVE  # (N, 7)
    in_scale = np.take_along_axis(counts, scales, axis=1).sum(axis=1)
    return _mean(in_scale[both] / counts[both].sum(axis=1))


def training_passages(data: Music, length: int) -> Events:
    """Returns at most PASSAGES random stretches (N, length) from within training pieces, by a fixed seed."""
    tokens = data.train.sequences
    begins = np.concatenate([[0], np.cumsum(tokens["note"] == data.begin["note"])])
    starts = np.flatnonzero(begins[length:] == begins[:-length])
    chosen = np.random.default_rng(0).permutation(starts)[:PASSAGES]
    places = chosen[:, None] + np.arange(length)
    return Events(*(tokens[name][places] for name in Events._fields))


def truncate_like(data: Music, events: Events, others: Events) -> Events:
    """Returns events (N, T) with each row truncated where that of `others` ends: a few notes are in key more easily."""
    over = others.note[: len(events.note)] == data.begin["note"]
    return Events(*(np.where(over, data.begin[name], getattr(events, name)) for name in Events._fields))


def _shares_in_key(data: Music, events: Events) -> dict[str, float]:
    """Returns the shares of generated passages, and of training pieces truncated to their lengths and shuffled."""
    shares = {"written/share_in_key": share_in_key(pitch_classes(data, events))}
    training = training_passages(data, events.note.shape[1])
    if not len(training.note):
        return shares
    order = np.random.default_rng(1).permutation(training.note.size)
    shuffled = Events(*(tokens.ravel()[order].reshape(tokens.shape) for tokens in training))
    for kind, rows in {"training_pieces": training, "shuffled_notes": shuffled}.items():
        shares[f"{kind}/share_in_key"] = share_in_key(pitch_classes(data, truncate_like(data, rows, events)))
    return shares


def _losses_within_pieces(run: Run, num_predicted: int) -> dict[str, float]:
    """Returns the held-out losses of rows with no START among the predicted events.

    Where pieces are held out, many of the predicted events are START after START, with a loss of nearly 0.
    """
    losses = {}
    for split in ("validation", "test"):
        source = getattr(run.data, split)
        if source is not None:
            notes = source.take(np.arange(len(source)))["note"][:, -num_predicted:]
            within = (notes != run.data.begin["note"]).all(axis=1)
            losses[f"{split}/loss_within_pieces"] = _mean(run.losses(source)[within])
    return losses


def _copied(run: Run, events: Events) -> dict[str, float]:
    """Returns the shares of generated and of held-out n-grams of COPIED events that occur in the training pieces."""
    data = run.data
    # If windows are held out rather than pieces, the first of them overlap with the last training windows.
    begin = data.validation.length if run.config.hold_out == "windows" else 0
    last = len(data.validation) - 1
    rows = data.validation.take(np.linspace(min(begin, last), last, PASSAGES, dtype=np.int64))
    training, written, held_out = (
        np.stack([tokens[name] for name in Events._fields], axis=-1)
        for tokens in (data.train.sequences, events._asdict(), rows)
    )
    kinds = {"written": written, "held_out": held_out}
    shares = copied_shares(training, kinds, length=COPIED, separator=data.begin["note"])
    return {f"{kind}/copied_share": share for kind, share in shares.items()}


def measure(run: Run, passage: Passage, num_predicted: int = 1) -> Results:
    """Returns metrics of passages, and of training and held-out pieces for comparison; undefined ones are omitted.

    Args:
      run: that generated them.
      passage: (N, T).
      num_predicted: number of events of a row that are predicted.
    """
    events = passage.events
    lengths = (events.note != run.data.begin["note"]).sum(axis=1)
    numbers = {
        **_shares_in_key(run.data, events),
        **_losses_within_pieces(run, num_predicted),
        "written/events_per_passage": float(lengths.mean()),
        **_copied(run, events),
    }
    protocol = {
        "share_in_key": f"{len(events.note)} passages of at most {events.note.shape[1]} events, and training pieces "
        "truncated to their lengths; share of sounding time in the best-fitting major or natural minor scale",
        "copied_share": f"share of {COPIED}-grams of events that occur in the training pieces and their transpositions",
    }
    return {name: number for name, number in numbers.items() if not np.isnan(number)} | {"protocol": protocol}
