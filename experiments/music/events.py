"""Config, data, generation and figures of the experiments that model music as a sequence of events.

A passage ends where the network generates START, the token that also precedes each piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
from flax import linen as nn

from experiments.music.render import write_music
from gdl_jax.core.config_flags import AtLeast, EvaluationOnly, IsPathAfter, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import ArraySource, first_examples
from gdl_jax.data.music import events as music
from gdl_jax.data.music.events import Music
from gdl_jax.data.music.notes import in_quarters, pitch_table
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.sequence import Generate, autoregressive, event_losses
from gdl_jax.models.events import Events, Passage, Temperatures, Vocabulary
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots.music import attention, note_probabilities, piano_rolls
from gdl_jax.runs.config import DTYPES, RunConfig
from gdl_jax.runs.experiment import Network, Run

EVENTS = 50  # most events of a passage, as in the book
PASSAGES = 64  # over which metrics are averaged
SHOWN = 3
TEMPO = 80.0  # quarter notes per minute
PROGRAMS = {"cello": 42}  # General MIDI instruments, numbered from 0; other data sets are played on a piano
# Vocabulary sizes of data that are not bundled. Held-out pieces are not transposed, so `hold_out` matters.
VOCABULARIES = {  # (dataset, rests, transpose, hold_out) -> sizes
    ("cello", False, (0, 0), "windows"): Vocabulary(387, 18),
    ("cello", False, (0, 0), "pieces"): Vocabulary(387, 18),
    ("cello", False, (-6, 5), "windows"): Vocabulary(1877, 18),
    ("cello", False, (-6, 5), "pieces"): Vocabulary(1905, 18),
}


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig):
    """Hyperparameters of every network of events.

    Raises:
      ConfigError: a field has an invalid value.
    """

    # melodies, corpus_chorales (bundled), cello in --data_dir, midi:PATH (a folder)
    dataset: Annotated[str, IsPathAfter(*music.PATH_KINDS)] = "melodies"
    # lowest and highest transposition of training pieces in semitones; each piece is repeated in all keys between
    transpose: tuple[int, ...] = (0, 0)
    # pieces (a tenth each for validation and testing) or windows (the last fifth of all, for validation)
    hold_out: Annotated[str, OneOf(*music.HOLD_OUT)] = "pieces"
    rests: bool = True  # rests are events; the book skips them
    # sampling temperature of notes; 0: always the likeliest, 1: as trained
    note_temperature: Annotated[float, AtLeast(0), EvaluationOnly()] = 0.5
    duration_temperature: Annotated[float, AtLeast(0), EvaluationOnly()] = 0.5  # sampling temperature of durations
    patience: int = 10
    optimizer: str = "rmsprop"

    def __post_init__(self):
        super().__post_init__()
        if len(self.transpose) != 2:
            raise ConfigError("transpose", self.transpose, "needs two numbers of semitones")


def load(config: Config, sequence_length: int, continuation_length: int = 1) -> Music:
    """Returns rows of sequence_length + continuation_length events.

    Raises:
      UserError: as `music.load`; too few training examples.
    """
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


def spec(config: Config, sequence_length: int, continuation_length: int = 1) -> Music | None:
    """Returns one row with vocabularies of the right sizes; None where the sizes are known from the data alone."""
    sizes = VOCABULARIES.get((config.dataset, config.rests, tuple(config.transpose), config.hold_out))
    if sizes is None:
        return None
    row = np.zeros((1, sequence_length + continuation_length), np.int32)
    source = ArraySource({"note": row, "duration": row})
    notes, durations = (*map(str, range(sizes.notes - 1)), music.BEGIN), tuple(map(Fraction, range(sizes.durations)))
    return Music(config.dataset, source, source, notes=notes, durations=durations)


def network(config: Config, data: Music, module: type) -> dict[str, Network]:
    """Returns the experiment's only network, an instance of `module`."""
    row = data.example()["note"]
    tokens = jax.ShapeDtypeStruct((1, row.shape[1] - 1), row.dtype)
    vocabulary = Vocabulary(len(data.notes), len(data.durations))
    return {"network": Network(module(config, vocabulary, DTYPES[config.precision]), (tokens, tokens))}


def learner(config: Config, data: Music, module: nn.Module, generate: Generate, axis_name: str | None) -> Learner:
    """Returns the learner of a network; `generate` is its model's, without `begin`, the note before a piece."""
    made = autoregressive(
        with_axis_name(module, axis_name),
        make_optimizer(config),
        streams=Events._fields,
        losses=event_losses,
        generate=partial(generate, begin=data.begin["note"]),
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(made, config.ema_decay)


def start_context(data: Music, length: int) -> Events:
    """Returns the context (length,) of a piece's first event."""
    return Events(*(np.full(length, data.begin[name], np.int32) for name in Events._fields))


def generate(run: Run, num: int, context: Events, steps: int) -> Passage:
    """Generates `num` passages of `steps` events at the run's temperatures; START fills them after their end."""
    temperatures = Temperatures(run.config.note_temperature, run.config.duration_temperature)
    passage = jax.device_get(run.learner.sample(run.state, run.key, num, context, steps, temperatures))
    return passage._replace(events=until_end(run.data, passage.events))


def until_end(data: Music, events: Events) -> Events:
    """Returns events (N, T) with everything after the first START replaced by START, whose duration is 0."""
    over = np.logical_or.accumulate(events.note == data.begin["note"], axis=1)
    return Events(*(np.where(over, data.begin[name], getattr(events, name)) for name in Events._fields))


def first_passage(data: Music, passage: Passage) -> Passage:
    """Returns the first of several passages (N, T, ...) up to its end: arrays (T, ...)."""
    length = int((passage.events.note[0] != data.begin["note"]).sum())
    return jax.tree.map(lambda x: x[0, :length], passage)


def notes_of(data: Music, events: Events, limit: int | None = None) -> list[np.ndarray]:
    """Returns the notes (M, 4) of each passage of events (N, T), or of the first `limit`."""
    return [music.notes_of(data, *rows) for rows in zip(*(tokens[:limit] for tokens in events), strict=True)]


def write_passages(
    run: Run, members: Sequence[np.ndarray], folder: Path, name: str, tracks: Sequence[str] = ()
) -> list[Path]:
    """Writes MIDI, sound, piano roll and score of passages, each given as notes (M, 4); returns the files."""
    program = PROGRAMS.get(run.config.dataset, 0)
    return write_music(members, folder, name, quarters_per_minute=TEMPO, program=program, tracks=tracks)


def draw_rolls(members: Sequence[np.ndarray], path: Path, tracks: Sequence[str] = ()) -> None:
    """Draws piano rolls of a few passages, each given as notes (M, 4)."""
    piano_rolls({f"Passage {i + 1}": in_quarters(notes) for i, notes in enumerate(members)}, path, tracks)


def draw_predictions(run: Run, one: Passage, weights: np.ndarray | None, earlier: Sequence[str], name: str) -> None:
    """Draws the predicted note probabilities at each event of a passage, and the attention to earlier events.

    Args:
      run: has the folder of figures.
      one: (T, ...), from `first_passage`; nothing is drawn if it is empty.
      weights: attention (T, rows) for `plots.music.attention`, or None.
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
