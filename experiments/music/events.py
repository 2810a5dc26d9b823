"""What the experiments that write music as events share: their data, and what is shown and measured of what they write.

A passage ends where the network writes START, as a piece does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import linen as nn

from experiments.music.render import write_music
from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.music import events as music
from gdl_jax.data.music.events import Music
from gdl_jax.data.music.notes import in_quarters, pitch_table
from gdl_jax.evaluation.music import MAJOR_SCALE, OCTAVE, event_roll, pitch_class_counts, scale_consistency
from gdl_jax.learners.composer import Write, composer
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.models.events import Events, Passage, Temperatures, Vocabulary
from gdl_jax.plots.music import attention, note_probabilities, piano_rolls
from gdl_jax.runs.experiment import DTYPES, Part, RunConfig

NOTES = 50  # events of a passage, as in the book
PASSAGES = 64  # that numbers are means over
SHOWN = 3
RUN = 8  # events, of a run that a passage may have in common with what was learnt from
TEMPO = 80.0  # quarter notes a minute
PROGRAMS = {"cello": 42}  # General MIDI's instruments, from 0; others are played on a piano
# How many notes and durations there are in what isn't bundled. What is held out is not transposed, and so matters.
VOCABULARIES = {  # (dataset, rests, transpose, hold_out)
    ("cello", False, (0, 0), "windows"): Vocabulary(387, 18),
    ("cello", False, (0, 0), "pieces"): Vocabulary(387, 18),
    ("cello", False, (-6, 5), "windows"): Vocabulary(1877, 18),
    ("cello", False, (-6, 5), "pieces"): Vocabulary(1905, 18),
}


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig):
    dataset: str = "melodies"  # melodies, corpus_chorales (bundled), cello in --data_dir, midi:PATH (a folder)
    transpose: tuple[int, ...] = (0, 0)  # semitones: learn from pieces in all keys from the first to the second
    hold_out: str = "pieces"  # pieces (a tenth each for validation and testing) or windows (the last fifth of all)
    rests: bool = True  # silence is an event too; the book leaves it out
    patience: int = 10  # evaluations without a lower held-out loss after which training stops; 0: never
    optimizer: str = "rmsprop"  # by name or package.module:function
    learning_rate: float = 1e-3  # constant, as in the book
    note_temperature: float = 0.5  # of what is written: 0 is the most probable note, 1 as was learnt
    duration_temperature: float = 0.5  # likewise of durations

    LEAST = RunConfig.LEAST | {
        "embedding_size": 1,
        "hidden_units": 1,
        "note_temperature": 0,
        "duration_temperature": 0,
    }


def load(config: Config, sequence_length: int, continuation_length: int = 1) -> Music:
    """Rows of sequence_length + continuation_length events.

    Raises:
      UserError: as `music.load`; too few training examples.
    """
    if len(config.transpose) != 2:
        raise UserError(f"--transpose={','.join(map(str, config.transpose))}: needs two numbers of semitones")
    data = music.load(
        config.dataset,
        data_dir=config.data_dir or None,
        sequence_length=sequence_length,
        continuation_length=continuation_length,
        transpose=config.transpose,
        hold_out=config.hold_out,
        rests=config.rests,
    )
    keys = config.transpose[1] - config.transpose[0] + 1
    return first_examples(data, config.train_examples, partial(music.first_in_every_key, keys=keys))


def blank(config: Config, sequence_length: int, continuation_length: int = 1) -> Music | None:
    """One row, and vocabularies of the right sizes; None where only the set itself knows these."""
    sizes = VOCABULARIES.get((config.dataset, config.rests, tuple(config.transpose), config.hold_out))
    if sizes is None:
        return None
    row = np.zeros((1, sequence_length + continuation_length), np.int32)
    source = ArraySource({"note": row, "duration": row})
    notes, durations = (*map(str, range(sizes.notes - 1)), music.BEGIN), tuple(map(Fraction, range(sizes.durations)))
    return Music(config.dataset, source, source, notes=notes, durations=durations)


def network(config: Config, data: Music, module: type) -> dict[str, Part]:
    """The one part of such an experiment."""
    row = data.train.take(np.zeros(1, np.int64))["note"]
    tokens = jax.ShapeDtypeStruct((1, row.shape[1] - 1), row.dtype)
    vocabulary = Vocabulary(len(data.notes), len(data.durations))
    return {"network": Part(module(config, vocabulary, DTYPES[config.precision]), (tokens, tokens))}


def learner(config: Config, data: Music, module: nn.Module, write: Write, axis_name: str | None) -> Learner:
    """The learner of such a network; `write` is its model's, with `begin` for what stands before a piece."""
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    write = partial(write, begin=data.begin["note"])
    return composer(module.clone(axis_name=axis_name), write, optimizer, axis_name=axis_name)


def beginning(data: Music, length: int) -> Events:
    """The context (length,) of a piece's first event."""
    return Events(*(np.full(length, data.begin[name], np.int32) for name in Events._fields))


def write(run, num: int, context: Events, steps: int) -> Passage:
    """`num` passages of `steps` events at the run's temperatures; after START there is nothing but START."""
    temperatures = Temperatures(run.config.note_temperature, run.config.duration_temperature)
    passage = jax.device_get(run.learner.sample(run.state, run.key, num, context, steps, temperatures))
    return passage._replace(events=until_end(run.data, passage.events))


def until_end(data: Music, events: Events) -> Events:
    """Events (N, T) with START, which lasts for nothing, in place of all that follows the first."""
    over = np.logical_or.accumulate(events.note == data.begin["note"], axis=1)
    return Events(*(np.where(over, data.begin[name], getattr(events, name)) for name in Events._fields))


def first_of(data: Music, passage: Passage) -> Passage:
    """The first passage, up to its end: arrays (T, ...)."""
    length = int((passage.events.note[0] != data.begin["note"]).sum())
    return jax.tree.map(lambda x: x[0, :length], passage)


def notes_of(data: Music, events: Events, limit: int | None = None) -> list[np.ndarray]:
    """The notes (N, 4) of each passage (N, T), or of the first `limit`."""
    return [music.notes_of(data, *rows) for rows in zip(*(tokens[:limit] for tokens in events), strict=True)]


def pitch_classes(data: Music, events: Events) -> np.ndarray:
    """How long each pitch class sounds in each passage: (N, T) -> (N, 12)."""
    quarters = np.array(list(map(float, data.durations)), np.float32)
    return np.asarray(_pitch_classes(events, pitch_table(data.notes), quarters))


@jax.jit
def _pitch_classes(events: Events, pitches: jax.Array, quarters: jax.Array) -> jax.Array:
    rolls = jax.vmap(event_roll, (0, 0, None, None))(*events, pitches, quarters)  # (N, T, 128)
    return jax.vmap(pitch_class_counts)(rolls)


_best_scales = jax.jit(jax.vmap(scale_consistency))


def share_in_key(counts: np.ndarray) -> float:
    """The share of what sounds that is in the scale that fits best, each passage's own: (N, 12) -> their mean."""
    shares = np.asarray(_best_scales(counts)[0])
    return _mean(shares[counts.sum(axis=1) > 0])


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def share_in_key_of(counts: np.ndarray, references: np.ndarray) -> float:
    """The share of what sounds that is in the scale that fits another passage best: (N, 12) twice -> their mean."""
    both = (counts.sum(axis=1) > 0) & (references.sum(axis=1) > 0)
    tonics = np.asarray(_best_scales(references)[1])
    scales = (tonics[:, None] + np.array(MAJOR_SCALE)) % OCTAVE  # (N, 7)
    in_scale = np.take_along_axis(counts, scales, axis=1).sum(axis=1)
    return _mean(in_scale[both] / counts[both].sum(axis=1))


def passages_learnt_from(data: Music, length: int) -> Events:
    """PASSAGES stretches of training pieces (N, length), drawn with a fixed seed; none if no piece is as long."""
    tokens = data.train.sequences
    begins = np.concatenate([[0], np.cumsum(tokens["note"] == data.begin["note"])])
    starts = np.flatnonzero(begins[length:] == begins[:-length])
    chosen = np.random.default_rng(0).permutation(starts)[:PASSAGES]
    places = chosen[:, None] + np.arange(length)
    return Events(*(tokens[name][places] for name in Events._fields))


def as_long_as(data: Music, events: Events, others: Events) -> Events:
    """Events (N, T), each row cut where that of `others` (at least N, T) is over: few notes keep a key easily."""
    over = others.note[: len(events.note)] == data.begin["note"]
    return Events(*(np.where(over, data.begin[name], getattr(events, name)) for name in Events._fields))


def runs_of(data: Music, events: Events) -> list[bytes]:
    """All stretches of RUN events in passages (N, T), START in none of them."""
    if events.note.shape[1] < RUN:
        return []
    both = np.stack(events, axis=-1).astype(np.int32)  # (N, T, 2)
    windows = np.lib.stride_tricks.sliding_window_view(both, RUN, axis=1).swapaxes(2, 3).reshape(-1, RUN, 2)
    whole = (windows[..., 0] != data.begin["note"]).all(axis=1)
    return [window.tobytes() for window in windows[whole]]


def shares_copied(data: Music, **kinds: Events) -> dict[str, float]:
    """The shares of runs of RUN events that stand in the pieces that were learnt from: {kind: (N, T)} -> numbers."""
    learnt = set(runs_of(data, Events(*(data.train.sequences[name][None] for name in Events._fields))))
    return {kind: _mean([run in learnt for run in runs_of(data, events)]) for kind, events in kinds.items()}


def losses_within_pieces(run, told: int) -> dict[str, float]:
    """Held-out losses of rows in whose last `told` events, those that are predicted, no piece begins or ends.

    Where music is held out in pieces, much of what is told is START after START, which costs nearly nothing.
    """
    numbers = {}
    for split in ("validation", "test"):
        source = getattr(run.data, split)
        if source is not None:
            notes = source.take(np.arange(len(source)))["note"][:, -told:]
            within = (notes != run.data.begin["note"]).all(axis=1)
            numbers[f"{split}/loss within pieces"] = _mean(run.losses(source)[within])
    return numbers


def measure(run, passage: Passage, told: int = 1) -> dict[str, float]:
    """Whether passages keep a key, beside stretches of pieces as long; whether they end, and how much is copied.

    Args:
      run: that wrote them.
      passage: (N, T).
      told: how many events of a row are predicted.
    """
    data, events = run.data, passage.events
    length = events.note.shape[1]
    learnt = passages_learnt_from(data, length)
    numbers = {"share in key, written": share_in_key(pitch_classes(data, events))}
    if len(learnt.note):
        order = np.random.default_rng(1).permutation(learnt.note.size)
        mixed = Events(*(tokens.ravel()[order].reshape(tokens.shape) for tokens in learnt))
        kinds = {"training pieces": learnt, "training notes in random order": mixed}
        cut = {kind: as_long_as(data, rows, events) for kind, rows in kinds.items()}
        numbers |= {f"share in key, {kind}": share_in_key(pitch_classes(data, rows)) for kind, rows in cut.items()}
    # Where windows are held out, the first ones go on from the end of what was learnt from.
    begin = data.validation.length if run.config.hold_out == "windows" else 0
    rows = np.linspace(min(begin, len(data.validation) - 1), len(data.validation) - 1, PASSAGES, dtype=np.int64)
    held_out = Events(*(data.validation.take(rows)[name] for name in Events._fields))
    numbers |= losses_within_pieces(run, told)
    numbers["events a passage"] = float((events.note != data.begin["note"]).sum(axis=1).mean())
    for kind, share in shares_copied(data, written=events, held_out=held_out).items():
        numbers[f"runs of {RUN} events copied from training pieces, {kind.replace('_', ' ')}"] = share
    return {name: number for name, number in numbers.items() if not np.isnan(number)}


def write_passages(
    run, members: Sequence[np.ndarray], folder: Path, name: str, tracks: Sequence[str] = ()
) -> list[Path]:
    """MIDI, sound, piano roll and score of passages, given as notes (N, 4) each."""
    program = PROGRAMS.get(run.config.dataset, 0)
    return write_music(members, folder, name, quarters_per_minute=TEMPO, program=program, tracks=tracks)


def show_rolls(members: Sequence[np.ndarray], path: Path, tracks: Sequence[str] = ()) -> None:
    """Piano rolls of a few passages, given as notes (N, 4) each."""
    piano_rolls({f"Passage {i + 1}": in_quarters(notes) for i, notes in enumerate(members)}, path, tracks)


def show_thoughts(run, one: Passage, weights: np.ndarray | None, earlier: Sequence[str], name: str) -> None:
    """Draws what the network thought of one passage (T, ...): notes that it held probable, what it looked back at.

    Args:
      run: whose figures they are.
      one: of `first_of`; nothing is drawn where it is empty.
      weights: (T, rows) for `plots.music.attention`, or None.
      earlier: names of the rows.
      name: of the passage; the figures are NAME_probabilities.png and NAME_attention.png.
    """
    if not len(one.events.note):
        return
    pitches = pitch_table(run.data.notes)
    path = run.figures / f"{name}_probabilities.png"
    note_probabilities(one.probabilities @ pitches, pitches[one.events.note] > 0, path)
    if weights is not None:
        written = [run.data.notes[token] for token in one.events.note]
        attention(weights, earlier, written, run.figures / f"{name}_attention.png")
