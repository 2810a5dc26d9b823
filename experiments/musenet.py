"""MuseNet (book chapter 9): a sparse transformer that composes, note by note, in the manner of a composer.

    python -m experiments.musenet                                        six composers and their instruments; 8 minutes
    python -m experiments.musenet --config=chorales --data_dir=D         JSB chorales on a grid, for published numbers
    python -m experiments.musenet --config=piano --data_dir=D            performed piano music, 25 composers
    python -m experiments.musenet --config=paper --dataset=midi:PATH     MuseNet's depth and context
    python -m experiments.sample --workdir=runs/musenet-composers --composer=mozart --tokens=1500
    python -m experiments.bench.attention_cost                           memory and time of dense and sparse attention

Minutes are those of two CPU cores. The loss is in nats per token. Events are MuseNet's (a note of an instrument begins
with a volume or ends; time passes); on a grid, tokens are the four voices' pitches at each sixteenth note.
"""

from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp

from experiments.music import composing
from gdl_jax.core.config_flags import AtLeast, Below, IsPathAfter, Needs, OneOf
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import first_examples
from gdl_jax.data.music import token_sets
from gdl_jax.data.music.musical_tokens import NOTES, stretched, transposed
from gdl_jax.data.music.notes import PITCHES
from gdl_jax.data.music.token_sets import MusicTokens
from gdl_jax.learners.augmented import augmented
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.sequence import autoregressive, token_losses
from gdl_jax.models import gpt
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, gpt.Config):
    # composers, corpus_chorales (bundled); chorales, piano_midi_de in --data_dir; or midi:PATH, folders of composers
    dataset: Annotated[str, IsPathAfter(*token_sets.PATH_KINDS)] = "composers"
    encoding: Annotated[str, OneOf("events", "grid")] = "events"  # performed notes, or chorales' voices by sixteenths
    # training excerpts are moved by up to this many semitones
    transpose: Annotated[int, AtLeast(0), Below(PITCHES)] = 5
    # training excerpts are slowed down or sped up by up to this share, which scores in strict time do not need
    stretch: Annotated[float, AtLeast(0), Below(1), Needs("encoding=events")] = 0.0
    optimizer: str = "adam_0.9_0.95"


TRAINING = {
    "schedule": "cosine",
    "final_learning_rate": 0.1,
    "warmup_steps": 100,
    "weight_decay": 0.1,
    "clip_norm": 1.0,
}
PRESETS = {
    "composers": Config(
        **TRAINING,
        context=256,
        layers=4,
        heads=4,
        width=128,
        learning_rate=2e-3,
        batch_size=8,
        steps=3000,
        unroll=4,
    ),
    # Sizes of the Music Transformer's baseline for these chorales (Huang et al. 2019).
    "chorales": Config(
        **TRAINING,
        dataset="chorales",
        encoding="grid",
        context=512,
        layers=5,
        heads=8,
        width=256,
        learning_rate=1e-3,
        batch_size=8,
        steps=4000,
        eval_every=250,
    ),
    "piano": Config(
        **TRAINING,
        dataset="piano_midi_de",
        stretch=0.1,
        context=1024,
        layers=6,
        heads=8,
        width=256,
        attention="fixed",
        attention_stride=128,
        attention_summary=16,
        learning_rate=1e-3,
        batch_size=4,
        steps=20_000,
    ),
    # 72 layers, 24 heads and 4,096 tokens are published, the width is not. Attention is dense, as the post says.
    "paper": Config(
        **TRAINING,
        dataset="piano_midi_de",
        stretch=0.1,
        context=4096,
        layers=72,
        heads=24,
        width=1536,
        learning_rate=3e-4,
        batch_size=64,
        accumulate=64,
        remat=True,
        steps=200_000,
    ),
    "tiny": Config(
        context=32,
        layers=1,
        heads=2,
        width=32,
        dropout_rate=0.0,
        optimizer="adam",
        learning_rate=3e-3,
        batch_size=16,
        steps=120,
        log_every=40,
        eval_every=120,
        checkpoint_every=60,
    ),
}


def load(config: Config) -> MusicTokens:
    """Returns excerpts of pieces, of `context` tokens and the one after them.

    Raises:
      UserError: as `token_sets.load`.
    """
    data = token_sets.load(
        config.dataset,
        data_dir=config.data_dir or None,
        encoding=config.encoding,
        sequence_length=config.context,
    )
    return first_examples(data, config.train_examples, lambda source, count: source.first(count))


def spec(config: Config) -> MusicTokens | None:
    """Returns one row of a set whose composers are known."""
    return token_sets.blank(config.dataset, config.encoding, config.context)


def networks(config: Config, data: MusicTokens) -> dict[str, Network]:
    """Returns the network."""
    tokens = jax.ShapeDtypeStruct((1, config.context), jnp.int32)
    return {"network": Network(composing.network(config, data), (tokens,))}


def build(config: Config, data: MusicTokens, axis_name: str | None) -> Learner:
    """Returns the learner."""
    notes = NOTES if config.encoding == "events" else PITCHES

    def augment_one(tokens, key):
        shift_key, stretch_key = jax.random.split(key)
        shift = jax.random.randint(shift_key, (), -config.transpose, config.transpose + 1)
        tokens = transposed(tokens, shift, notes)
        if config.encoding == "grid":
            return tokens
        factor = jax.random.uniform(stretch_key, (), minval=1 - config.stretch, maxval=1 + config.stretch)
        return stretched(tokens, factor)

    learner = autoregressive(
        with_axis_name(composing.network(config, data), axis_name),
        make_optimizer(config),
        streams=("tokens",),
        losses=token_losses,
        generate=gpt.generate_from_padded,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    if config.transpose or config.stretch:
        learner = augmented(
            learner, lambda batch, keys: {"tokens": jax.vmap(augment_one)(batch["tokens"], keys)}, axis_name
        )
    return moving_average(learner, config.ema_decay)


def preview(run: Run) -> None:
    """Draws piano rolls of new pieces."""
    composing.draw_rolls(run, run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> Results:
    """Writes pieces; returns metrics, copies and composers found, and the losses of baselines."""
    how = "mean of all tokens of rows; of events, the headers at the beginning of rows too"
    loss = {"protocol": {"loss": how}}
    return composing.merged(composing.baselines(run), composing.measure(run, run.figures), loss)


EXPERIMENT = Experiment(
    name="musenet",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=composing.sample, options=composing.Options(), num=4),
    headlines=("validation/loss", "test/loss", "samples/composer_found"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
