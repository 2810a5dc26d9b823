"""A recurrent network that composes, with attention or without (book 07_02 and 07_03): one event after the other.

    python -m experiments.music_rnn                                    bundled melodies, a small network, minutes
    python -m experiments.music_rnn --config=cello --data_dir=D        the book's run on Bach's cello suites
    python -m experiments.music_rnn --config=cello_regularised --data_dir=D     with dropout, and in all twelve keys
    python -m experiments.music_rnn --config=cello --data_dir=D --attention=false     only the last state counts
    python -m experiments.music_rnn --dataset=midi:my_files            a folder of one's own
    python -m experiments.sample --workdir=runs/music_rnn-small --num=8

The book's code reaches a validation loss of 3.604 on the cello suites after its fifth epoch (2.972 of it the note's),
and then learns its training pieces by heart, since it stops when the training loss does: after 64 epochs that is 0.32,
and the validation loss 7.2. Here the validation loss decides: 3.582, and 3.422 in all keys with dropout.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from experiments.music import events as composing
from gdl_jax.models import music_rnn as networks
from gdl_jax.runs.experiment import Experiment
from gdl_jax.runs.main import main

EPOCH = 700  # steps of 32 windows, in the book's 22,376


@dataclass(frozen=True, kw_only=True)
class Config(composing.Config, networks.Config):
    sequence_length: int = 32  # events that the network reads to tell the next

    LEAST = composing.Config.LEAST | {"sequence_length": 1}


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
}


def load(config):
    """Windows of sequence_length events and the one after them."""
    return composing.load(config, config.sequence_length)


def blank(config):
    """One window, where the vocabulary is known."""
    return composing.blank(config, config.sequence_length)


def parts(config, data):
    """The network."""
    return composing.network(config, data, networks.MusicRNN)


def build(config, data, axis_name):
    """The learner."""
    return composing.learner(config, data, parts(config, data)["network"].module, networks.write_on, axis_name)


def write(run, num: int):
    """`num` passages from their very beginning."""
    return composing.write(run, num, composing.beginning(run.data, run.config.sequence_length), composing.NOTES)


def attention_over_passage(weights: np.ndarray) -> np.ndarray:
    """Weights (T, C) on the C events before each -> (T, T): on all of START, and on events 0 ... T - 2.

    NaN where the network could not look: at what came later, or had left the window.
    """
    events, length = weights.shape
    over = np.full((events, length + events), np.nan)
    for event, row in enumerate(weights):
        over[event, event : event + length] = row
    inside = np.arange(events)[:, None] < length
    begin = np.where(inside, np.nansum(over[:, :length], axis=1, keepdims=True), np.nan)
    return np.concatenate([begin, over[:, length:-1]], axis=1)


def preview(run):
    """Passages from the same noise at every step."""
    passage = write(run, composing.SHOWN)
    members = composing.notes_of(run.data, passage.events)
    composing.show_rolls(members, run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run):
    """Passages to hear and to read, what the network thought of the first, and whether they keep a key."""
    passage = write(run, composing.PASSAGES)
    members = composing.notes_of(run.data, passage.events, composing.SHOWN)
    composing.write_passages(run, members, run.figures, "passages")
    one = composing.first_of(run.data, passage)
    weights = None if one.attention is None else attention_over_passage(one.attention)
    earlier = ["START", *(run.data.notes[token] for token in one.events.note[:-1])]
    composing.show_thoughts(run, one, weights, earlier, "passage")
    return composing.measure(run, passage)


def sample(run, request):
    """MIDI files of passages; sound, piano roll and score of the first few."""
    members = composing.notes_of(run.data, write(run, request.num).events)
    return composing.write_passages(run, members, request.out, "passage")


EXPERIMENT = Experiment("music_rnn", Config, PRESETS, build, parts, analyse, preview, sample, load, blank=blank)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
