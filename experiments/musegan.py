"""MuseGAN (book chapter 7, 07_04 and 07_05): bars for four voices from chords, style, melodies and grooves.

    python -m experiments.musegan                                 bundled chorales, small networks; 8 minutes
    python -m experiments.musegan --config=chorales --data_dir=D  the book's run, 229 chorales; 490 minutes
    python -m experiments.musegan --condition_bars=4              two bars that continue four given ones; long pieces
    python -m experiments.sample --workdir=runs/musegan-corpus --num=8

Minutes are those of two CPU cores. In the book's run, the means near iteration 6,200 are a critic's score of 41.1 for
real and 2.8 for generated pieces, and an unweighted gradient penalty of 1.0. But the book's generator has no tanh, and
during training all of its tracks and bars get the same noise vectors. Here they get different ones, as
`figures/what_each_noise_changes.png` shows. The generator memorises: after 6,000 iterations, in which each of the 229
chorales is seen some 8,400 times, one sample in seven is nearly a training piece (of the test pieces, one in twenty).
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.adversarial import rules
from experiments.music import four_voices
from gdl_jax.core.config_flags import AtLeast, Renamed
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import ArraySource, DataSet, Source, first_examples
from gdl_jax.data.music import chorales
from gdl_jax.evaluation import music
from gdl_jax.models import musegan
from gdl_jax.runs.config import DTYPES
from gdl_jax.runs.experiment import Experiment, Network, Run, SampleEvaluator, SampleMetrics, Sampler, SampleRequest
from gdl_jax.runs.main import main
from gdl_jax.runs.records import merged

COMPARED = 256  # samples compared with held-out pieces
ADAM = Renamed("experiments.musegan:adam", "adam_0.5_0.9")  # its name in the flags.json of older runs


@dataclass(frozen=True, kw_only=True)
class Config(rules.Config, musegan.Config):
    """Hyperparameters of MuseGAN, with the values of 07_04."""

    dataset: str = "corpus_chorales"  # corpus_chorales (bundled), or chorales in --data_dir
    bars: Annotated[int, AtLeast(1)] = 2  # bars of a generated piece
    batch_size: int = 64  # pieces per critic update, over all devices
    adversarial_loss: str = "wasserstein"
    n_critic: int = 5
    gradient_penalty: float = 10.0
    separate_updates: bool = False
    batch_statistics: bool = True
    generator_optimizer: Annotated[str, ADAM] = "adam_0.5_0.9"
    critic_optimizer: Annotated[str, ADAM] = "adam_0.5_0.9"
    generator_learning_rate: float = 1e-3
    critic_learning_rate: float = 1e-3


PRESETS = {
    "corpus": Config(
        temporal_filters=128,
        bar_filters=(64, 64, 32, 32),
        octave_filters=32,
        critic_filters=32,
        critic_step_filters=(32, 32, 64, 128),
        critic_units=256,
        initial_deviation=0.1,
        batch_size=32,
        steps=1500,
        log_every=25,
        eval_every=250,
    ),
    "chorales": Config(dataset="chorales", steps=6000, log_every=50, checkpoint_every=100),
    "tiny": Config(
        z_dim=4,
        temporal_filters=8,
        bar_filters=(8, 4),
        octave_filters=4,
        critic_filters=4,
        critic_step_filters=(4, 8),
        critic_step_kernel_sizes=(4, 3),
        critic_units=8,
        initial_deviation=0.3,
        n_critic=2,
        critic_learning_rate=2e-3,
        batch_size=8,
        steps=40,
        log_every=10,
        eval_every=20,
        checkpoint_every=20,
    ),
}


def load(config: Config) -> DataSet:
    """Returns the first bars of each chorale; with condition_bars, all of its bars, each with the preceding ones."""
    data = chorales.load(config.dataset, data_dir=config.data_dir or None, bars=config.bars)
    if config.condition_bars:
        sources = {
            split: ArraySource({"pitches": four_voices.continuations(members, config.condition_bars, config.bars)})
            for split, members in data.pieces.items()
        }
        data = dataclasses.replace(data, **sources)
    return first_examples(data, config.train_examples)


def spec(config: Config) -> DataSet:
    """Returns a row of silence with the shapes of any of the data sets."""
    shape = (1, (config.condition_bars + config.bars) * chorales.BAR, len(chorales.VOICES))
    source = ArraySource({"pitches": np.full(shape, chorales.SILENT, np.int8)})
    return DataSet(config.dataset, source, source, transform=chorales.to_roll)


def rolls(data: DataSet, source: Source, rows: np.ndarray) -> jax.Array:
    """Returns rows (N,) of a split as rolls (N, condition_bars + bars, 16, 84, 4) of -1 and 1."""
    return data.transform(source.take(rows))["roll"]


def compared_rows(source: Source, num: int) -> np.ndarray:
    """Returns `num` rows of a held-out split to compare as many samples with: evenly spaced, in order."""
    return np.arange(num) * len(source) // num


def test_pieces(data: DataSet) -> jax.Array:
    """Returns the held-out pieces that samples are compared with, including the bars before them, as `rolls` does."""
    return rolls(data, data.test, compared_rows(data.test, min(COMPARED, len(data.test))))


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns critic and generator."""
    row = jax.eval_shape(lambda: rolls(data, data.train, np.zeros(1, np.int64)))
    shape = musegan.Shape(config.bars, *row.shape[2:])
    piece, before = (
        jax.ShapeDtypeStruct((1, bars, *shape[1:]), row.dtype) for bars in (config.bars, config.condition_bars)
    )
    previous = (before,) if config.condition_bars else ()
    noise = jax.eval_shape(lambda key: musegan.draw_noise(config, shape.tracks, key[None]), jax.random.key(0))
    dtype = DTYPES[config.precision]
    return {
        "critic": Network(musegan.Critic(config, dtype), (piece, *previous)),
        "generator": Network(musegan.Generator(config, shape, dtype), (noise, *previous)),
    }


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    modules = {name: network.module for name, network in networks(config, data).items()}
    tracks = modules["generator"].shape.tracks

    def previous(batch):
        return (batch["roll"][:, : config.condition_bars],) if config.condition_bars else ()

    return rules.make_learner(
        config,
        modules,
        axis_name,
        inputs=lambda batch, keys: (musegan.draw_noise(config, tracks, keys), *previous(batch)),
        real=lambda batch: batch["roll"][:, config.condition_bars :],
        conditions=previous,
    )


def draw(run: Run, key: jax.Array, num: int) -> np.ndarray:
    """Returns `num` samples (num, bars, 16, 84, 4) in (-1, 1); conditional ones continue `compared_rows`."""
    source = getattr(run.data, run.split)
    rows = compared_rows(source, num)

    def conditions(key, indices):
        return {"roll": rolls(run.data, source, rows[indices % num])} if run.config.condition_bars else {}

    return rules.draw_outputs(run, key, num, conditions)


def describe(played: jax.Array) -> dict[str, float]:
    """Returns musical metrics of pieces (N, bars, steps, pitches, tracks), each a mean over the pieces that have it.

    A metric that no piece has, as all are silent, is omitted.
    """
    numbers = music.mean_description(played) | {"silent_share": (musegan.pitches_of(played) < 0).mean()}
    return {name: float(value) for name, value in numbers.items() if not np.isnan(value)}


def sample_evaluator(config: Config, data: DataSet) -> SampleEvaluator:
    """Returns the evaluator that computes musical metrics; its reference are real pieces, unchanged and shuffled."""
    real = test_pieces(data)[:, config.condition_bars :]
    mixed = jax.jit(jax.vmap(music.shuffled))(jax.random.split(jax.random.key(0), len(real)), real)

    def named(kind, played):
        return {f"{kind}/{name}": number for name, number in describe(played).items()}

    def evaluate(samples):
        return named("samples", musegan.sounding(jnp.asarray(samples)))

    after = f", both after the same {config.condition_bars} bars" if config.condition_bars else ""
    protocol = f"musical metrics of {COMPARED} generated and {len(real)} test pieces{after}; a track plays its highest"
    protocol += " value and rests where that is not positive; shuffled_pieces: each voice's steps in random order"
    reference = named("real_pieces", real) | named("shuffled_pieces", mixed)
    return SampleEvaluator(protocol, COMPARED, evaluate, reference)


def preview(run: Run) -> None:
    """Draws samples from the same noise at every step."""
    drawn = draw(run, run.key, four_voices.SHOWN)
    four_voices.show_samples(drawn, run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run: Run) -> dict[str, Any]:
    """Writes samples and real pieces; returns their novelty, the effect of each noise vector, and failure modes."""
    drawn = draw(run, run.key, COMPARED)
    before = run.config.condition_bars
    held_out = test_pieces(run.data)
    previous, real = held_out[:, :before], held_out[:, before:]
    generator = networks(run.config, run.data)["generator"].module
    four_voices.write_pieces(drawn[: four_voices.SHOWN], run.figures, "samples")
    four_voices.compare(drawn, real, run.key, run.figures)
    results = four_voices.nearest(drawn, real, run.data.train, run.figures)
    results = merged(results, four_voices.noise_changes(run, generator, previous))
    if before:
        for name, start in (("continued", previous[:1]), ("long_piece", silence(previous[:1]))):
            four_voices.write_pieces(four_voices.long_pieces(run, generator, start), run.figures, name)
    rules.plot_critic_weights(run)
    return results | {"failure_modes": rules.failures(run)}


def silence(previous: jax.Array | np.ndarray) -> jax.Array:
    """Returns silent bars of the same shape: a piece that continues them starts from nothing."""
    return jnp.full_like(previous, -1.0)


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes MIDI, piano rolls and sound of pieces: of long ones where the generator can continue its own output."""
    if not run.config.condition_bars:
        return four_voices.write_pieces(draw(run, run.key, request.num), request.out, "sample")
    generator = networks(run.config, run.data)["generator"]
    _, previous = generator.inputs
    start = silence(np.empty((request.num, *previous.shape[1:]), previous.dtype))
    return four_voices.write_pieces(four_voices.long_pieces(run, generator.module, start), request.out, "long_piece")


EXPERIMENT = Experiment(
    name="musegan",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
    sample_metrics=SampleMetrics(draw=draw, evaluator=sample_evaluator),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
