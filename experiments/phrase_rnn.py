"""An encoder reads a phrase, a decoder goes on with it, and attention lies between them (book chapter 7, 7-11 to 7-13).

    python -m experiments.phrase_rnn                                   bundled melodies, a small network, minutes
    python -m experiments.phrase_rnn --attention=false                 the decoder gets the last state only
    python -m experiments.phrase_rnn --config=cello --data_dir=D       the sizes of `music_rnn`, on Bach's cello suites
    python -m experiments.sample --workdir=runs/phrase_rnn-small --num=8

The book draws this network and does not train it, so there is no number of its own to reach. Losses are per event of
the continuation, of which the network is told all before: they compare with and without attention.
"""

from dataclasses import dataclass

import jax
import numpy as np

from experiments.music import events as composing
from gdl_jax.data.music.notes import START, TICKS, TRACK
from gdl_jax.models import phrase_rnn as networks
from gdl_jax.models.events import Events
from gdl_jax.runs.experiment import Experiment
from gdl_jax.runs.main import main

EPOCH = 700  # steps of 32
TRACKS = ("phrase", "continuation")


@dataclass(frozen=True, kw_only=True)
class Config(composing.Config, networks.Config):
    phrase_length: int = 32  # events that the encoder reads

    LEAST = composing.Config.LEAST | {"phrase_length": 1, "continuation_length": 1, "attention_units": 1}
    NEEDS = composing.Config.NEEDS | {"attention_units": "attention"}


PRESETS = {
    "small": Config(
        embedding_size=32,
        hidden_units=128,
        attention_units=64,
        batch_size=64,
        optimizer="adam",
        steps=3000,
        eval_every=300,
        patience=3,
    ),
    "cello": Config(
        dataset="cello",
        rests=False,
        transpose=(-6, 5),
        dropout_rate=0.3,
        optimizer="adam",
        steps=30 * EPOCH,
        eval_every=2 * EPOCH,
        checkpoint_every=2 * EPOCH,
    ),
}


def load(config):
    """Phrases, each with its continuation."""
    return composing.load(config, config.phrase_length, config.continuation_length)


def blank(config):
    """One row, where the vocabulary is known."""
    return composing.blank(config, config.phrase_length, config.continuation_length)


def parts(config, data):
    """The network."""
    return composing.network(config, data, networks.PhraseRNN)


def build(config, data, axis_name):
    """The learner."""
    return composing.learner(config, data, parts(config, data)["network"].module, networks.write_phrases, axis_name)


def held_out(run, num: int) -> tuple[Events, Events]:
    """`num` held-out phrases (num, C) and how they go on (num, T); from within pieces where there are as many."""
    source = run.data.validation if run.data.test is None else run.data.test
    rows = source.take(np.arange(len(source)))
    inside = np.flatnonzero((rows["note"] != run.data.begin["note"]).all(axis=1))
    order = np.random.default_rng(0).permutation(inside if len(inside) >= num else len(source))
    chosen = np.resize(order, num)
    length = run.config.phrase_length
    phrases, continuations = (
        Events(*(rows[name][chosen, part] for name in Events._fields)) for part in (slice(length), slice(length, None))
    )
    return phrases, continuations


def joined(data, phrases: Events, continuations: Events) -> list[np.ndarray]:
    """The notes of a few phrases (N, C), track 0, and of their continuations (N, T), track 1, one after the other."""
    shown = jax.tree.map(lambda tokens: tokens[: composing.SHOWN], (phrases, continuations))
    both = jax.tree.map(lambda phrase, more: np.concatenate([phrase, more], axis=1), *shown)
    members = composing.notes_of(data, both)
    for notes, durations in zip(members, shown[0].duration, strict=True):
        notes[:, TRACK] = notes[:, START] >= TICKS * sum(data.durations[duration] for duration in durations)
    return members


def preview(run):
    """How a few held-out phrases go on, from the same noise at every step."""
    phrases, _ = held_out(run, composing.SHOWN)
    passage = composing.write(run, composing.SHOWN, phrases, run.config.continuation_length)
    path = run.figures / f"samples_at_{run.step:07d}.png"
    composing.show_rolls(joined(run.data, phrases, passage.events), path, TRACKS)


def analyse(run):
    """Continuations beside the real ones, what the network thought of the first, pieces from nothing."""
    data = run.data
    phrases, real = held_out(run, composing.PASSAGES)
    passage = composing.write(run, composing.PASSAGES, phrases, run.config.continuation_length)
    continuations = {"written": passage.events, "real": composing.until_end(data, real)}
    reference = composing.pitch_classes(data, phrases)
    numbers = {}
    for name, events in continuations.items():
        members = joined(data, phrases, events)
        composing.write_passages(run, members, run.figures, f"phrases_and_{name}_continuations", TRACKS)
        share = composing.share_in_key_of(composing.pitch_classes(data, events), reference)
        numbers |= {} if np.isnan(share) else {f"share of a continuation in its phrase's key, {name}": share}
    earlier = [data.notes[token] for token in phrases.note[0]]
    one = composing.first_of(data, passage)
    composing.show_thoughts(run, one, one.attention, earlier, "continuation")
    pieces = write_pieces(run, composing.PASSAGES)
    members = composing.notes_of(data, pieces.events, composing.SHOWN)
    composing.write_passages(run, members, run.figures, "passages")
    return numbers | composing.measure(run, pieces, run.config.continuation_length)


def write_pieces(run, num: int):
    """`num` passages from their very beginning, phrase after phrase."""
    return composing.write(run, num, composing.beginning(run.data, run.config.phrase_length), composing.NOTES)


def sample(run, request):
    """MIDI files of passages; sound, piano roll and score of the first few."""
    members = composing.notes_of(run.data, write_pieces(run, request.num).events)
    return composing.write_passages(run, members, request.out, "passage")


EXPERIMENT = Experiment("phrase_rnn", Config, PRESETS, build, parts, analyse, preview, sample, load, blank=blank)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
