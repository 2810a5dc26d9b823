"""pix2pix (book chapter 9, figure 9-15; Isola and others 2017): translation learnt from pairs of images.

    python -m experiments.pix2pix                                   drawings of faces to faces, 64x64; 5 minutes
    python -m experiments.pix2pix --config=labels                   flat label maps of faces to faces, 64x64
    python -m experiments.pix2pix --config=facades --data_dir=D     label maps to house fronts, 128x128, 200 epochs
    python -m experiments.pix2pix --config=paper --data_dir=D       the paper's networks at 256x256
    python -m experiments.studies.pix2pix_ablation                  compares L1, GAN, cGAN and both
    python -m experiments.sample --workdir=runs/pix2pix-edges --images=my_drawings

Minutes are those of two CPU cores. The paper's ablation: --conditional=False (L1 + GAN), --l1_weight=0 (cGAN),
--adversarial_weight=0 (L1). Pairs are paired:PATH, side by side in one file or in folders A and B.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np

from experiments.adversarial import rules
from experiments.translation import setup
from experiments.translation.judging import held_out, paired_evaluator
from experiments.translation.pictures import TranslateOptions, draw_translations, translate_files
from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.images.domains import TwoDomains
from gdl_jax.learners.adversarial import adversarial, generator_variables, make_adversarial_loss
from gdl_jax.learners.adversarial_updates import Term
from gdl_jax.learners.gradient import apply_eval, apply_train
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.translation import signed
from gdl_jax.losses.reconstruction import mae
from gdl_jax.models import unet
from gdl_jax.plots import images
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.experiment import Experiment, Network, Run, SampleMetrics, Sampler, SampleRequest
from gdl_jax.runs.main import main

BATCH = 8  # images per call, outside training
SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Config(setup.Config):
    """Hyperparameters of pix2pix, with the paper's values, except that the critic's loss is not halved.

    Under Adam that makes no difference.
    """

    dataset: str = "drawings:edges"
    batch_size: int = 1  # pairs per update, over all devices
    adversarial_loss: str = "bce"  # bce, cyclegan, least_squares, wasserstein, hinge or package.module:LOSS
    l1_weight: Annotated[float, AtLeast(0)] = 100.0  # factor of the mean absolute error in [-1, 1]; 0: none
    conditional: bool = True  # show the input image to the critic, too
    critic_norm: str = "affine_instance"  # instance, affine_instance, batch or none


SMALL = {"image_size": 64, "unet_filters": 32, "unet_depth": 6, "critic_filters": 32}
FACES = {"batch_size": 4, "steps": 5000, "eval_every": 500, "checkpoint_every": 500, "flip": False}
DECAY = {"schedule": "linear", "constant_fraction": 0.5}
EPOCHS, FACADES = 200, 400  # pairs
FULL = {"steps": EPOCHS * FACADES, "jitter": 286 / 256, "eval_every": 2000, "checkpoint_every": 2000}
PRESETS = {
    "edges": Config(**unet.PIX2PIX | SMALL | FACES | DECAY),
    "labels": Config(dataset="drawings:labels", **unet.PIX2PIX | SMALL | FACES | DECAY),
    "facades": Config(
        dataset="facades",
        **unet.PIX2PIX | FULL | DECAY | {"image_size": 128, "unet_filters": 32, "unet_depth": 7, "critic_filters": 32},
    ),
    "paper": Config(dataset="facades", image_size=256, critic_filters=64, **unet.PIX2PIX | FULL | DECAY),
    "tiny": Config(
        **unet.PIX2PIX
        | {
            "avatars": 200,
            "image_size": 32,
            "unet_filters": 8,
            "unet_depth": 3,
            "critic_filters": 8,
            "critic_layers": 1,
            "batch_size": 4,
            "steps": 40,
            "log_every": 10,
            "eval_every": 20,
            "checkpoint_every": 20,
        }
    ),
}


def networks(config: Config, data: TwoDomains) -> dict[str, Network]:
    """Returns generator and critic."""
    image = setup.image_spec(data)
    shown = (image, image) if config.conditional else (image,)
    return {
        "generator": setup.network_of(setup.make_generator(config, image.shape[-1]), image),
        "critic": setup.network_of(setup.make_critic(config), *shown),
    }


def build(config: Config, data: TwoDomains, axis_name: str | None) -> Learner:
    """Returns the learner.

    Raises:
      ConfigError: both terms of the generator's loss have weight 0.
    """
    if not (config.l1_weight or config.adversarial_weight):
        raise ConfigError("l1_weight", config.l1_weight, "and adversarial_weight must not both be 0")

    def l1(batch, outputs):
        return {"l1_loss": Term(mae(signed(batch)["b"], outputs), config.l1_weight)}

    learner = adversarial(
        setup.make_generator(config, setup.image_spec(data).shape[-1], axis_name),
        setup.make_critic(config, axis_name),
        make_optimizer(config, "generator_"),
        make_optimizer(config, "critic_"),
        make_adversarial_loss(config.adversarial_loss),
        ema_decay=config.ema_decay,
        accumulate=config.accumulate,
        inputs=lambda batch, keys: (signed(batch)["a"],),
        real=lambda batch: signed(batch)["b"],
        conditions=lambda batch: (signed(batch)["a"],) if config.conditional else (),
        generator_terms=l1,
        adversarial_weight=config.adversarial_weight,
        axis_name=axis_name,
    )
    return setup.with_jitter(learner, config, paired=True, axis_name=axis_name)


@lru_cache(maxsize=4)
def _compiled(module: Any, dropout: bool) -> Any:
    """Returns a function: variables, images (B, H, W, C) in [-1, 1] and keys (B,) -> translations."""

    def translate(variables, pictures, keys):
        values = variables["params"], variables["batch_stats"]
        if not dropout:
            return apply_eval(module, *values, pictures)
        return jax.vmap(lambda picture, key: apply_train(module, *values, key, picture[None])[0][0])(pictures, keys)

    return jax.jit(translate)


def translator(run: Run, dropout: bool) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Returns the generator: images (B, H, W, C) in [-1, 1] and keys of their dropout (B,) -> translations."""
    return partial(
        _compiled(networks(run.config, run.data)["generator"].module, dropout), generator_variables(run.state)
    )


def translated(run: Run, pictures: np.ndarray, dropout: bool = False) -> np.ndarray:
    """Returns translations of images (N, H, W, C) in [0, 1], with dropout's noise if requested."""
    translate, keys = translator(run, dropout), jax.random.split(run.key, len(pictures))
    outputs = in_batches(lambda batch: translate(*batch), (2.0 * pictures - 1.0, keys), BATCH)
    return (outputs + 1.0) / 2.0


def draw(run: Run, key: jax.Array, num: int) -> np.ndarray:
    """Returns translations of the test split's images, (N, H, W, C) in [0, 1]."""
    del key
    return translated(run, held_out(run.data, "test", "a", num))


def _draw_rows(run: Run, path: Path, shown: int) -> None:
    pictures, truth = (held_out(run.data, run.split, domain, shown) for domain in "ab")
    rows = [pictures, translated(run, pictures), truth]
    names = run.data.domains
    images.rows(rows, [names[0], f"generated {names[1]}", names[1]], path)


def preview(run: Run) -> None:
    """Draws translations of the same held-out images at every step."""
    _draw_rows(run, run.figures / f"samples_at_{run.step:07d}.png", SHOWN)


def analyse(run: Run) -> dict[str, Any]:
    """Draws held-out inputs, translations and true images; names failures."""
    _draw_rows(run, run.figures / "translations.png", SHOWN)
    rules.film(run.figures)
    rules.plot_critic_weights(run)
    return {"failure_modes": rules.failures(run), "protocol": {"l1_loss": "mean absolute error, pixels in [-1, 1]"}}


@dataclass(frozen=True, kw_only=True)
class Options(TranslateOptions):
    """Options of sampling."""

    dropout: bool = False  # keep dropout, the paper's only noise, while translating


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Writes translations of the user's pictures, or of held-out images.

    Raises:
      ConfigError: direction is BtoA, in which this network does not translate, or dropout is to be kept where the
        network was trained without.
    """
    options, config = request.options, run.config
    if options.dropout and not (config.unet_dropout_rate if config.generator == "unet" else config.resnet_dropout_rate):
        raise ConfigError("dropout", options.dropout, "this network was trained without dropout")
    if options.direction != "AtoB":
        raise ConfigError("direction", options.direction, "this network translates AtoB; train one with direction=BtoA")
    if not options.images:
        path = request.out / "translations.png"
        pictures = held_out(run.data, run.split, "a", request.num)
        draw_translations(pictures, translated(run, pictures, options.dropout), path)
        return [path]
    stride = networks(run.config, run.data)["generator"].module.stride
    channels = setup.image_spec(run.data).shape[-1]
    return translate_files(translator(run, options.dropout), stride, options, channels, run.key, request.out)


EXPERIMENT = Experiment(
    name="pix2pix",
    module=__name__,
    presets=PRESETS,
    load=partial(setup.load, paired=True),
    spec=setup.spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=Options(), num=16),
    sample_metrics=SampleMetrics(draw=draw, evaluator=paired_evaluator),
    evaluation_batch=setup.EVALUATION_BATCH,
    headlines=("samples/l1", "samples/ssim", "samples/psnr", "samples/perceptual_distance", "samples/kid"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
