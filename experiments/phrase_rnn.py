"""Encoder-decoder for melodies (book chapter 7, figures 7-11 to 7-13): continues a phrase, with attention to it.

    python -m experiments.phrase_rnn                               bundled melodies, a small network; 4 minutes
    python -m experiments.phrase_rnn --attention=false             the decoder gets only the encoder's last state
    python -m experiments.phrase_rnn --config=cello --data_dir=D   the sizes of `music_rnn`, on Bach's cello suites
    python -m experiments.sample --workdir=runs/phrase_rnn-small --num=8

Minutes are those of two CPU cores. The book draws this network but does not train it, so there is no number to
reproduce. Losses are per event of the continuation, each predicted from all events before it; use them to compare the
network with and without attention.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.music import events
from experiments.music.passage_metrics import measure, pitch_classes, share_in_key_of
from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.learner import Learner
from gdl_jax.data.music.events import Music
from gdl_jax.data.music.notes import START, TICKS, TRACK
from gdl_jax.models import phrase_rnn
from gdl_jax.models.events import Events, Passage
from gdl_jax.runs import records
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.main import main

EPOCH = 700  # steps of batch size 32
TRACKS = ("phrase", "continuation")


@dataclass(frozen=True, kw_only=True)
class Config(events.Config, phrase_rnn.Config):
    phrase_length: Annotated[int, AtLeast(1)] = 32  # events of the encoder's input


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
    "tiny": Config(
        embedding_size=8,
        hidden_units=16,
        attention_units=8,
        phrase_length=8,
        continuation_length=6,
        optimizer="adam",
        learning_rate=2e-2,
        steps=100,
        log_every=25,
        eval_every=50,
        checkpoint_every=50,
    ),
}


def load(config: Config) -> Music:
    """Returns phrases with their continuations."""
    return events.load(config, config.phrase_length, config.continuation_length)


def spec(config: Config) -> Music | None:
    """Returns one row where the vocabulary sizes are known without the data, else None."""
    return events.spec(config, config.phrase_length, config.continuation_length)


def networks(config: Config, data: Music) -> dict[str, Network]:
    """Returns the network."""
    return events.network(config, data, phrase_rnn.PhraseRNN)


def build(config: Config, data: Music, axis_name: str | None) -> Learner:
    """Returns the learner."""
    return events.learner(config, data, networks(config, data)["network"].module, phrase_rnn.generate, axis_name)


def held_out(run: Run, num: int) -> tuple[Events, Events]:
    """Returns `num` held-out phrases (num, C) and continuations (num, T), from within pieces if there are enough."""
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


def joined(data: Music, phrases: Events, continuations: Events) -> list[np.ndarray]:
    """Returns the notes of a few phrases (N, C) as track 0, followed by their continuations (N, T) as track 1."""
    shown = jax.tree.map(lambda tokens: tokens[: events.SHOWN], (phrases, continuations))
    both = jax.tree.map(lambda phrase, more: np.concatenate([phrase, more], axis=1), *shown)
    members = events.notes_of(data, both)
    for notes, durations in zip(members, shown[0].duration, strict=True):
        notes[:, TRACK] = notes[:, START] >= TICKS * sum(data.durations[duration] for duration in durations)
    return members


def preview(run: Run) -> None:
    """Draws continuations of a few held-out phrases from the same noise at every step."""
    phrases, _ = held_out(run, events.SHOWN)
    passage = events.generate(run, events.SHOWN, phrases, run.config.continuation_length)
    path = run.figures / f"samples_at_{run.step:07d}.png"
    events.draw_rolls(joined(run.data, phrases, passage.events), path, TRACKS)


def analyse_continuations(run: Run) -> Results:
    """Writes and draws generated and real continuations of held-out phrases; returns their shares in the key."""
    data = run.data
    phrases, real = held_out(run, events.PASSAGES)
    passage = events.generate(run, events.PASSAGES, phrases, run.config.continuation_length)
    in_phrases = pitch_classes(data, phrases)
    shares = {}
    for name, continuations in {"written": passage.events, "real": events.until_end(data, real)}.items():
        members = joined(data, phrases, continuations)
        events.write_passages(run, members, run.figures, f"phrases_and_{name}_continuations", TRACKS)
        share = share_in_key_of(pitch_classes(data, continuations), in_phrases)
        if not np.isnan(share):
            shares[f"{name}_continuations/share_in_phrase_key"] = share
    one = events.first_passage(data, passage)
    earlier = [data.notes[token] for token in phrases.note[0]]
    events.draw_predictions(run, one, one.attention, earlier, "continuation")
    how = f"{events.PASSAGES} held-out phrases; share of sounding time in the phrase's best-fitting scale"
    return shares | {"protocol": {"share_in_phrase_key": how}}


def analyse(run: Run) -> Results:
    """Draws generated and real continuations, and whole pieces; returns the metrics of both."""
    results = analyse_continuations(run)
    pieces = generate_pieces(run, events.PASSAGES)
    members = events.notes_of(run.data, pieces.events, events.SHOWN)
    events.write_passages(run, members, run.figures, "passages")
    return records.merged(results, measure(run, pieces, run.config.continuation_length))


def generate_pieces(run: Run, num: int) -> Passage:
    """Generates `num` passages from the beginning of a piece, phrase by phrase."""
    return events.generate(run, num, events.start_context(run.data, run.config.phrase_length), events.EVENTS)


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes MIDI files of passages; also sound, piano roll and score of the first few."""
    members = events.notes_of(run.data, generate_pieces(run, request.num).events)
    return events.write_passages(run, members, request.out, "passage")


EXPERIMENT = Experiment(
    name="phrase_rnn",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
    headlines=("test/loss", "written_continuations/share_in_phrase_key", "written/share_in_key"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
