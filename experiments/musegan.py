"""MuseGAN (book chapter 7, 07_04 and 07_05): bars of four voices from chords, style, melodies and grooves.

    python -m experiments.musegan                                     bundled chorales, small networks
    python -m experiments.musegan --config=chorales --data_dir=D      the book's run: 6,000 iterations, 229 chorales
    python -m experiments.musegan --condition_bars=4                  two bars that go on from four, and long pieces
    python -m experiments.sample --workdir=runs/musegan-corpus --num=8

In the book's run, means near iteration 6,200 are a critic's score of 41.1 for real pieces and of 2.8 for generated
ones, and an unweighted gradient penalty of 1.0; but its generator has no tanh, and in training all of its tracks and
bars hear the same vectors. `figures/what_each_noise_changes.png` shows that here they don't. After these iterations,
each of 229 chorales seen some 8,400 times, one sample in seven is nearly a training piece (one in twenty of the test
pieces is): less of the music is new than the musical numbers suggest.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.adversarial import rules as game
from experiments.music import four_voices as pieces
from gdl_jax.data.dataset import ArraySource, DataSet, first_examples
from gdl_jax.data.music import chorales
from gdl_jax.evaluation import music
from gdl_jax.learners.optimizers import KERAS_EPSILON
from gdl_jax.models import musegan as networks
from gdl_jax.runs.experiment import DTYPES, Experiment, Judge, Part
from gdl_jax.runs.main import main

JUDGED = 256  # samples whose musical numbers are compared with those of held-out pieces


def adam(learning_rate: float) -> optax.GradientTransformation:
    """Adam as in 07_04: b1 0.5, b2 0.9."""
    return optax.adam(learning_rate, b1=0.5, b2=0.9, eps=KERAS_EPSILON)


@dataclass(frozen=True, kw_only=True)
class Config(game.Config, networks.Config):
    dataset: str = "corpus_chorales"  # corpus_chorales (bundled), or chorales in --data_dir
    bars: int = 2  # of a generated piece
    batch_size: int = 64  # pieces of one critic update, over all devices
    adversarial_loss: str = "wasserstein"  # bce, least_squares, wasserstein, hinge or package.module:LOSS
    n_critic: int = 5  # critic updates for each of the generator
    gradient_penalty: float = 10.0  # weight of the penalty on the critic's gradient; 0: none
    separate_updates: bool = False  # the critic learns from real and from generated samples in turn, not at once
    batch_statistics: bool = True  # what is generated for the critic is normalised by its batch, not by averages
    generator_optimizer: str = "experiments.musegan:adam"  # by name or package.module:function
    critic_optimizer: str = "experiments.musegan:adam"  # by name or package.module:function
    generator_learning_rate: float = 1e-3  # constant, as in the book
    critic_learning_rate: float = 1e-3  # constant, as in the book

    NEEDS = game.Config.NEEDS | {"condition_filters": "condition_bars"}
    LEAST = game.Config.LEAST | {
        "bars": 1,
        "temporal_filters": 1,
        "bar_filters": 1,
        "octave_filters": 1,
        "critic_filters": 1,
        "critic_step_filters": 1,
        "critic_step_kernel_sizes": 1,
        "critic_units": 1,
        "initial_deviation": 0,
        "condition_bars": 0,
        "condition_filters": 1,
    }


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
}


def load(config):
    """The first bars of each chorale, or, with --condition_bars, all bars of it and those before them."""
    data = chorales.load(config.dataset, data_dir=config.data_dir or None, bars=config.bars)
    if config.condition_bars:
        sources = {
            split: ArraySource({"pitches": pieces.continuations(members, config.condition_bars, config.bars)})
            for split, members in data.pieces.items()
        }
        data = dataclasses.replace(data, **sources)
    return first_examples(data, config.train_examples)


def blank(config):
    """A row of silence, which has the shapes of any of the sets."""
    shape = (1, (config.condition_bars + config.bars) * chorales.BAR, len(chorales.VOICES))
    source = ArraySource({"pitches": np.full(shape, chorales.SILENT, np.int8)})
    return DataSet(config.dataset, source, source, transform=chorales.to_roll)


def rolls(data, source, rows: np.ndarray) -> jax.Array:
    """(N, condition_bars + bars, 16, 84, 4) of -1 and 1."""
    return data.transform(source.take(rows))["roll"]


def compared_rows(source, num: int) -> np.ndarray:
    """The rows (num,) of a held-out split with which as many samples are compared: from all of it, in order."""
    return np.arange(num) * len(source) // num


def test_pieces(data) -> jax.Array:
    """The held-out pieces with which samples are compared, and the bars before them, as `rolls` has them."""
    return rolls(data, data.test, compared_rows(data.test, min(JUDGED, len(data.test))))


def parts(config, data):
    """Critic and generator."""
    row = jax.eval_shape(lambda: rolls(data, data.train, np.zeros(1, np.int64)))
    shape = networks.Shape(config.bars, *row.shape[2:])
    piece, before = (
        jax.ShapeDtypeStruct((1, bars, *shape[1:]), row.dtype) for bars in (config.bars, config.condition_bars)
    )
    previous = (before,) if config.condition_bars else ()
    noise = jax.eval_shape(lambda key: networks.draw_noise(config, shape.tracks, key[None]), jax.random.key(0))
    dtype = DTYPES[config.precision]
    return {
        "critic": Part(networks.Critic(config, dtype), (piece, *previous)),
        "generator": Part(networks.Generator(config, shape, dtype), (noise, *previous)),
    }


def build(config, data, axis_name):
    """The learner."""
    modules = {name: part.module for name, part in parts(config, data).items()}
    tracks = modules["generator"].shape.tracks

    def previous(batch):
        return (batch["roll"][:, : config.condition_bars],) if config.condition_bars else ()

    return game.make_learner(
        config,
        modules,
        axis_name,
        inputs=lambda batch, keys: (networks.draw_noise(config, tracks, keys), *previous(batch)),
        real=lambda batch: batch["roll"][:, config.condition_bars :],
        conditions=previous,
    )


def draw(run, key, num: int) -> np.ndarray:
    """`num` samples (num, bars, 16, 84, 4) in (-1, 1); with conditions, those of `compared_rows`."""
    source = getattr(run.data, run.split)
    rows = compared_rows(source, num)

    def conditions(key, places):
        return {"roll": rolls(run.data, source, rows[places % num])} if run.config.condition_bars else {}

    return game.draw_outputs(run, key, num, conditions)


def describe(played: jax.Array) -> dict[str, float]:
    """Musical numbers of pieces (N, bars, steps, pitches, tracks), means over those of which each has a meaning.

    Where it has a meaning of none, as nothing ever sounds, it is left out.
    """
    numbers = music.mean_description(played) | {"silent share": (networks.pitches_of(played) < 0).mean()}
    return {name.replace(" ", "_"): float(value) for name, value in numbers.items() if not np.isnan(value)}


def make_judge(config, data) -> Judge:
    """Musical numbers of samples, beside those of held-out pieces, as they are and with each voice's steps mixed."""
    real = test_pieces(data)[:, config.condition_bars :]
    mixed = jax.jit(jax.vmap(music.shuffled))(jax.random.split(jax.random.key(0), len(real)), real)
    reference = {
        f"{kind}/{name}": number
        for kind, played in (("real pieces", real), ("shuffled pieces", mixed))
        for name, number in describe(played).items()
    }

    def of_pieces(samples):
        numbers = describe(networks.sounding(jnp.asarray(samples)))
        return {f"samples/{name}": number for name, number in numbers.items()}

    after = f", both after the same {config.condition_bars} bars" if config.condition_bars else ""
    protocol = f"musical numbers of {JUDGED} generated and {len(real)} test pieces{after}; a track plays its highest"
    return Judge(f"{protocol} value, and rests where that is not positive", JUDGED, of_pieces, reference)


def preview(run):
    """Samples from the same noise at every step."""
    pieces.show_samples(draw(run, run.key, pieces.SHOWN), run.figures / f"samples_at_{run.step:07d}.png")


def analyse(run):
    """Samples to see and to hear, beside real pieces; what each noise changes; nearest training pieces; failures."""
    drawn = draw(run, run.key, JUDGED)
    before = run.config.condition_bars
    held_out = test_pieces(run.data)
    previous, real = held_out[:, :before], held_out[:, before:]
    generator = parts(run.config, run.data)["generator"].module
    pieces.write_pieces(drawn[: pieces.SHOWN], run.figures, "samples")
    pieces.compare(drawn, real, run.key, run.figures)
    numbers = pieces.nearest(drawn, real, run.data.train, run.figures)
    numbers |= pieces.noise_changes(run, generator, previous)
    if before:
        pieces.write_pieces(pieces.long_pieces(run, generator, previous[:1]), run.figures, "continued")
        pieces.write_pieces(pieces.long_pieces(run, generator, silence(previous[:1])), run.figures, "long_piece")
    game.plot_critic_weights(run)
    return numbers | {"failure modes": game.failures(run)}


def silence(previous):
    """Bars like these in which nothing sounds: a piece that starts after them starts from nothing."""
    return jnp.full_like(previous, -1.0)


def sample(run, request):
    """MIDI, piano rolls and sound of pieces; long ones where the generator can go on from what it has played."""
    if not run.config.condition_bars:
        return pieces.write_pieces(draw(run, run.key, request.num), request.out, "sample")
    part = parts(run.config, run.data)["generator"]
    _, previous = part.inputs
    start = silence(np.empty((request.num, *previous.shape[1:]), previous.dtype))
    return pieces.write_pieces(pieces.long_pieces(run, part.module, start), request.out, "long_piece")


EXPERIMENT = Experiment(
    "musegan", Config, PRESETS, build, parts, analyse, preview, sample, load, make_judge, draw, blank
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
