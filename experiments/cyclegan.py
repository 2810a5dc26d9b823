"""CycleGAN (book chapter 5, 05_01): translation between two domains of unpaired images.

    python -m experiments.cyclegan                                 faces get and lose sunglasses, 64x64; 3 minutes
    python -m experiments.cyclegan --config=apples --data_dir=D    the book's apples and oranges, 128x128, 200 epochs
    python -m experiments.cyclegan --config=monet --data_dir=D     the book's photos and Monet's paintings, 256x256
    python -m experiments.studies.cyclegan_ablation                without identity loss, pool, ...
    python -m experiments.sample --workdir=runs/cyclegan-avatars --images=my_photos --direction=BtoA

Minutes are those of two CPU cores. Domains are unpaired:PATH (trainA, trainB, testA, testB), the book's sets, or two
attributes or classes of any image set: --dataset=celeba --domains=-Smiling,Smiling. `sample --round_trip` draws the
rows of figures 5-3 and 5-8 for pictures such as the book's, testA/n07740461_14740.jpg and testB/n07749192_4241.jpg.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
from flax import linen as nn

from experiments.adversarial import rules
from experiments.translation import setup
from experiments.translation.judging import TARGETS, held_out, unpaired_evaluator
from experiments.translation.pictures import (
    TranslateOptions,
    draw_translations,
    read_pictures,
    translate_files,
    translate_picture,
)
from gdl_jax.core.config_flags import AtLeast, Needs, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.images.domains import TwoDomains
from gdl_jax.learners.adversarial import generator_variables, make_adversarial_loss
from gdl_jax.learners.autoencoder import make_reconstruction_loss
from gdl_jax.learners.image_pool import RULES
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.translation import Terms, translation
from gdl_jax.models.cyclegan import DIRECTIONS, Critics, Translators, one_of
from gdl_jax.plots import images
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.experiment import Experiment, Network, Run, SampleMetrics, Sampler, SampleRequest
from gdl_jax.runs.main import main
from gdl_jax.runs.pictures import unused

BATCH = 8  # images of each domain per call, outside training
SHOWN = 5  # images of each domain
WAYS = {"AtoB": ("a", "b"), "BtoA": ("b", "a")}  # direction -> (domain, target)
COLUMNS = {"original": "", "translated": "fake_", "reconstructed": "cycle_", "identity": "identity_"}  # figure 5-8


@dataclass(frozen=True, kw_only=True)
class Config(setup.Config):
    """Hyperparameters of CycleGAN, with the values of 05_01."""

    batch_size: int = 1  # images of each domain per update, over all devices
    adversarial_loss: str = "cyclegan"  # cyclegan, least_squares, bce, wasserstein, hinge or package.module:LOSS
    cycle_weight: Annotated[float, AtLeast(0)] = 10.0  # factor of the cycle-consistency losses in the generators' loss
    identity_weight: Annotated[float, AtLeast(0)] = 2.0  # factor of the identity losses; 0: none
    # of images and their reconstructions, both in [-1, 1]: mae, mse, rmse or package.module:function
    cycle_loss: Annotated[str, Needs("cycle_weight")] = "mae"
    # of images and what the generator of their own domain makes of them: mae, mse, rmse or package.module:function
    identity_loss: Annotated[str, Needs("identity_weight")] = "mae"
    pool_size: Annotated[int, AtLeast(0)] = 50  # earlier translations of each domain kept for the critics; 0: none
    # paper (an image is swapped for an older one half of the time) or book (a random one of the pool)
    pool_rule: Annotated[str, OneOf(*RULES), Needs("pool_size")] = "paper"


EPOCHS = 200
# Unlike the book's code, images of the two domains are mirrored independently, critics make one step on real and
# generated images together, and both players step from the networks before the update.
BOOK = {"pool_rule": "book", "log_every": 50, "eval_every": 1000, "checkpoint_every": 1000}
DECAY = {"schedule": "linear", "constant_fraction": 0.5}
RESNET = {"generator": "resnet"}
PRESETS = {
    "avatars": Config(
        domains=("-Eyeglasses", "Sunglasses"),
        image_size=64,
        steps=2000,
        eval_every=500,
        checkpoint_every=500,
        **DECAY,
    ),
    "apples": Config(dataset="apple2orange", image_size=128, steps=EPOCHS * 995, **BOOK),
    "apples_64": Config(dataset="apple2orange", image_size=64, steps=30_000, **BOOK | DECAY | {"pool_rule": "paper"}),
    "monet": Config(
        dataset="monet2photo",
        image_size=256,
        identity_weight=5.0,
        critic_filters=64,
        steps=EPOCHS * 1072,
        **BOOK | RESNET,
    ),
    "paper": Config(
        dataset="monet2photo",
        image_size=256,
        jitter=286 / 256,
        identity_weight=5.0,
        resnet_filters=64,
        critic_filters=64,
        steps=EPOCHS * 1072,
        **BOOK | DECAY | RESNET | {"pool_rule": "paper"},
    ),
    "tiny": Config(
        domains=("-Eyeglasses", "Sunglasses"),
        avatars=400,
        image_size=32,
        unet_filters=8,
        unet_depth=3,
        critic_filters=8,
        critic_layers=1,
        pool_size=4,
        batch_size=4,
        steps=40,
        log_every=10,
        eval_every=20,
        checkpoint_every=20,
    ),
}


def networks(config: Config, data: TwoDomains) -> dict[str, Network]:
    """Returns the generators of both directions and the critics of both domains."""
    image = setup.image_spec(data)
    generator, critic = setup.make_generator(config, image.shape[-1]), setup.make_critic(config)
    return {
        "generator_a_to_b": setup.network_of(generator, image),
        "generator_b_to_a": setup.network_of(generator, image),
        "critic_a": setup.network_of(critic, image),
        "critic_b": setup.network_of(critic, image),
    }


def build(config: Config, data: TwoDomains, axis_name: str | None) -> Learner:
    """Returns the learner.

    Raises:
      ConfigError: all terms of the generators' loss have weight 0.
    """
    if not (config.adversarial_weight or config.cycle_weight or config.identity_weight):
        reason = "cycle_weight and identity_weight must not all be 0"
        raise ConfigError("adversarial_weight", config.adversarial_weight, reason)
    channels = setup.image_spec(data).shape[-1]
    terms = Terms(
        config.adversarial_weight,
        config.cycle_weight,
        config.identity_weight,
        make_reconstruction_loss(config.cycle_loss, "cycle_loss"),
        make_reconstruction_loss(config.identity_loss, "identity_loss"),
    )
    learner = translation(
        Translators(
            setup.make_generator(config, channels, axis_name),
            identity=config.identity_weight > 0,
            joint="batch" not in (config.unet_norm, config.resnet_norm),
        ),
        Critics(setup.make_critic(config, axis_name)),
        make_optimizer(config, "generator_"),
        make_optimizer(config, "critic_"),
        make_adversarial_loss(config.adversarial_loss),
        terms=terms,
        pool_size=config.pool_size,
        pool_rule=config.pool_rule,
        ema_decay=config.ema_decay,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return setup.with_jitter(learner, config, paired=False, axis_name=axis_name)


@lru_cache(maxsize=4)
def _compiled_sample(learner: Learner) -> Any:
    return jax.jit(lambda state, batch: learner.sample(state, None, len(batch["a"]), batch))


@lru_cache(maxsize=4)
def _compiled_network(network: nn.Module) -> Any:
    return jax.jit(lambda variables, pictures: network.apply(variables, pictures, train=False))


def translator(run: Run, direction: str) -> Callable[..., jax.Array]:
    """Returns the generator of one direction: images (B, H, W, C) in [-1, 1] -> translations; it needs no keys."""
    network = _compiled_network(networks(run.config, run.data)["generator_a_to_b"].module)
    variables = one_of(generator_variables(run.state), direction)
    return lambda pictures, keys=None: network(variables, pictures)


def outputs_of(run: Run, pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the generators' outputs (N, H, W, C) in [0, 1] for images {"a", "b"} of each domain, equally many."""
    sample = _compiled_sample(run.learner)
    outputs = in_batches(lambda batch: sample(run.state, batch), dict(pictures), BATCH)
    return {name: (values + 1.0) / 2.0 for name, values in outputs.items()}


def draw(run: Run, key: jax.Array, num: int) -> dict[str, np.ndarray]:
    """Returns {"a": translations into A of B's test images, "b": into B of A's}, (N, H, W, C) in [0, 1].

    They are those of the first `judged_samples` images of each domain.
    """
    del key, num  # there is no noise
    limit = run.config.judged_samples
    return {
        into: translated(run, held_out(run.data, "test", domain, limit), direction)
        for direction, (domain, into) in WAYS.items()
    }


def translated(run: Run, pictures: np.ndarray, direction: str) -> np.ndarray:
    """Returns translations of images (N, H, W, C) in [0, 1]."""
    outputs = in_batches(translator(run, direction), 2.0 * pictures - 1.0, BATCH)
    return (outputs + 1.0) / 2.0


def _draw_rows(run: Run, path: Path, columns: Mapping[str, str], shown: int) -> None:
    """Draws held-out images of both domains, each with the generators' outputs named by `columns`."""
    real = {domain: held_out(run.data, run.split, domain, shown) for domain in TARGETS}
    count = min(map(len, real.values()))
    real = {domain: pictures[:count] for domain, pictures in real.items()}
    outputs = outputs_of(run, real) | real
    rows, labels = [], []
    for (domain, into), name in zip(TARGETS.items(), run.data.domains[::-1], strict=True):
        of_column = [outputs.get(f"{prefix}{into if prefix == 'fake_' else domain}") for prefix in columns.values()]
        rows += list(np.stack([pictures for pictures in of_column if pictures is not None], 1))
        labels += [f"to {name}"] * count
    images.rows(rows, labels, path, headings=list(columns)[: rows[0].shape[0]])


def preview(run: Run) -> None:
    """Draws translations of the same held-out images at every step."""
    columns = {name: COLUMNS[name] for name in ("original", "translated")}
    _draw_rows(run, run.figures / f"samples_at_{run.step:07d}.png", columns, SHOWN)


def analyse(run: Run) -> dict[str, Any]:
    """Draws original, translated, reconstructed and identical images in both directions; names failures."""
    _draw_rows(run, run.figures / "translations.png", COLUMNS, SHOWN)
    rules.film(run.figures)
    rules.plot_critic_weights(run)
    how = "means over test images, each once, pixels in [-1, 1]"
    return {"failure_modes": rules.failures(run), "protocol": {"cycle_and_identity_loss": how}}


@dataclass(frozen=True, kw_only=True)
class Options(TranslateOptions):
    """Options of sampling."""

    # draw original, translated, reconstructed and identity picture next to each other, too (figures 5-3 and 5-8)
    round_trip: bool = False


def round_trip(run: Run, picture: np.ndarray, direction: str) -> np.ndarray:
    """Returns a picture (H, W, C) in [0, 1], its translation, that one translated back, and the picture's identity.

    They are (4, H, W, C); the identity is the output of the generator that leads to the picture's own domain.
    """
    (other,) = set(DIRECTIONS) - {direction}
    stride = networks(run.config, run.data)["generator_a_to_b"].module.stride

    def through(way, pixels):
        return translate_picture(translator(run, way), pixels, stride, run.key)

    there = through(direction, picture)
    return np.stack([picture, there, through(other, there), through(other, picture)])


def _draw_round_trips(run: Run, options: Options, channels: int, out: Path) -> list[Path]:
    """Draws the round trip of each of the user's pictures."""
    written: list[Path] = []
    for file, picture in read_pictures(options, channels):
        written.append(unused(out / f"{file.stem}_{options.direction}_round_trip.png", written))
        row = round_trip(run, picture, options.direction)
        images.rows([row], [options.direction], written[-1], headings=list(COLUMNS))
    return written


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes translations of the user's pictures, or of held-out images."""
    options: Options = request.options
    if options.round_trip and not options.images:
        raise ConfigError("round_trip", options.round_trip, "needs images")
    if not options.images:
        path = request.out / f"translations_{options.direction}.png"
        pictures = held_out(run.data, "test", WAYS[options.direction][0], request.num)
        draw_translations(pictures, translated(run, pictures, options.direction), path)
        return [path]
    stride = networks(run.config, run.data)["generator_a_to_b"].module.stride
    channels = setup.image_spec(run.data).shape[-1]
    written = translate_files(translator(run, options.direction), stride, options, channels, run.key, request.out)
    return written + (_draw_round_trips(run, options, channels, request.out) if options.round_trip else [])


EXPERIMENT = Experiment(
    name="cyclegan",
    module=__name__,
    presets=PRESETS,
    load=partial(setup.load, paired=False),
    spec=setup.spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=Options(), num=16),
    sample_metrics=SampleMetrics(draw=draw, evaluator=unpaired_evaluator),
    evaluation_batch=setup.EVALUATION_BATCH,
    headlines=(
        "samples/has_attribute_of_b",
        "samples/has_attribute_of_a",
        "samples/others_kept_into_b",
        "samples/others_kept_into_a",
        "samples/kid_into_b",
        "samples/kid_into_a",
        "test/cycle_loss_a",
        "test/cycle_loss_b",
    ),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
