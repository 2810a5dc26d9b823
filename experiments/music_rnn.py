"""Music by LSTM with attention (book chapter 7, 07_02 and 07_03): autoregressive, event by event.

    python -m experiments.music_rnn                                bundled melodies, a small network; 6 minutes
    python -m experiments.music_rnn --config=cello --data_dir=D    the book's run, Bach's cello suites; 16 minutes
    python -m experiments.music_rnn --config=cello_regularised --data_dir=D  dropout, all twelve keys; 31 minutes
    python -m experiments.music_rnn --config=cello --data_dir=D --attention=false  predicts from the last state only
    python -m experiments.music_rnn --dataset=midi:my_files        your own folder of MIDI files
    python -m experiments.sample --workdir=runs/music_rnn-small --num=8

Minutes are those of two CPU cores. On the cello suites, the book's code has its lowest validation loss, 3.604 (the
note's share: 2.972), after the fifth epoch. It then overfits, since it stops on the training loss: after 64 epochs the
training loss is 0.32 and the validation loss 7.2. Here training stops on the validation loss: 3.582, and 3.422 in all
keys with dropout.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from experiments.music import events
from experiments.music.passage_metrics import measure
from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.learner import Learner
from gdl_jax.data.music.events import Music
from gdl_jax.models import music_rnn
from gdl_jax.models.events import Passage
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.main import main

EPOCH = 700  # steps: batches of 32 of the book's 22,376 windows


@dataclass(frozen=True, kw_only=True)
class Config(events.Config, music_rnn.Config):
    sequence_length: Annotated[int, AtLeast(1)] = 32  # events of context


CELLO = Config(
    dataset="cello",
    hold_out="windows",
    rests=False,
    recurrent_activation="hard_sigmoid",
    steps=64 * EPOCH,
    log_every=EPOCH // 7,
    eval_every=EPOCH,
    checkpoint_every=EPOCH,
)
PRESETS = {
    "small": Config(
        embedding_size=32, hidden_units=128, batch_size=64, learning_rate=2e-3, steps=4000, eval_every=400, patience=3
    ),
    "cello": CELLO,
    "cello_regularised": dataclasses.replace(CELLO, transpose=(-6, 5), dropout_rate=0.3),
    "tiny": Config(
        embedding_size=8,
        hidden_units=16,
        sequence_length=8,
        optimizer="adam",
        learning_rate=2e-2,
        steps=100,
        log_every=25,
        eval_every=50,
        checkpoint_every=50,
    ),
}


def load(config: Config) -> Music:
    """Returns windows of sequence_length events with the event that follows."""
    return events.load(config, config.sequence_length)


def spec(config: Config) -> Music | None:
    """Returns one window where the vocabulary sizes are known without the data, else None."""
    return events.spec(config, config.sequence_length)


def networks(config: Config, data: Music) -> dict[str, Network]:
    """Returns the network."""
    return events.network(config, data, music_rnn.MusicRNN)


def build(config: Config, data: Music, axis_name: str | None) -> Learner:
    """Returns the learner."""
    return events.learner(config, data, networks(config, data)["network"].module, music_rnn.generate, axis_name)


def generate(run: Run, num: int) -> Passage:
    """Generates `num` passages from the beginning of a piece."""
    return events.generate(run, num, events.start_context(run.data, run.config.sequence_length), events.EVENTS)


def attention_over_passage(weights: np.ndarray) -> np.ndarray:
    """Returns attention weights by position in the passage: (T, C) on the C events before each -> (T, T).

    The first column sums the weights on START events, the others are those on events 0 ... T - 2. NaN where the network
    could not attend: later events, and events that have left the window.
    """
    length, context = weights.shape
    over = np.full((length, context + length), np.nan)
    for event, row in enumerate(weights):
        over[event, event : event + context] = row
    inside = np.arange(length)[:, None] < context
    begin = np.where(inside, np.nansum(over[:, :context], axis=1, keepdims=True), np.nan)
    return np.concatenate([begin, over[:, context:-1]], axis=1)


def preview(run: Run) -> None:
    """Draws generated passages from the same noise at every step."""
    members = events.notes_of(run.data, generate(run, events.SHOWN).events)
    events.draw_rolls(members, run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> Results:
    """Writes passages as sound and score, draws the predictions for the first; returns the metrics of all."""
    passage = generate(run, events.PASSAGES)
    members = events.notes_of(run.data, passage.events, events.SHOWN)
    events.write_passages(run, members, run.figures, "passages")
    one = events.first_passage(run.data, passage)
    weights = None if one.attention is None else attention_over_passage(one.attention)
    earlier = ["START", *(run.data.notes[token] for token in one.events.note[:-1])]
    events.draw_predictions(run, one, weights, earlier, "passage")
    return measure(run, passage)


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes MIDI files of passages; also sound, piano roll and score of the first few."""
    members = events.notes_of(run.data, generate(run, request.num).events)
    return events.write_passages(run, members, request.out, "passage")


EXPERIMENT = Experiment(
    name="music_rnn",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
    headlines=("test/loss", "written/share_in_key", "written/copied_share"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
