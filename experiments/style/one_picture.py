"""Config, pictures and learner of neural style transfer, which paints one picture."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from experiments.style import objective
from gdl_jax.core.config_flags import Above, AtLeast, EvaluationOnly, IsPath, Needs, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet, first_examples
from gdl_jax.data.images import photographs
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.style_transfer import STARTS, lbfgs, style_transfer
from gdl_jax.models.picture import Picture
from gdl_jax.runs.config import RunConfig
from gdl_jax.runs.experiment import Network

NAMES = tuple(photographs.BUNDLED)
UNUSED_BY_LBFGS = ("learning_rate", "schedule", "warmup_steps", "weight_decay", "clip_norm", "ema_decay")


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
    coarse_steps: Annotated[int, AtLeast(1)] = 100  # with several scales: updates at each size but the last
    optimizer: str = "lbfgs"  # lbfgs, adam, rmsprop, sgd, ... or package.module:function
    learning_rate: float = 0.02  # for pixels in [0, 1]; not used by L-BFGS
    memory_size: Annotated[int, AtLeast(1), Needs("optimizer=lbfgs")] = 20  # past steps that L-BFGS remembers
    # colours of the shown picture: style, or content for those of the content picture, with only the brightness painted
    color: Annotated[str, OneOf("style", "content"), EvaluationOnly()] = "style"
    batch_size: Annotated[int, AtLeast(1)] = 1  # copies of the picture's data; on N devices, a multiple of N


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
        kind, sides = name.partition("_")[0], picture.shape[1:3]
        of_kind = "style_scale" if kind == "style" else "image_height"
        objective.check_size(config, of_kind if config.image_height else kind, *sides)
        objective.check_size(config, "scales", *(side >> (config.scales - 1) for side in sides))
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
    no_effect = dict.fromkeys(("accumulate", "precision"), "not supported by style transfer")
    if config.optimizer == "lbfgs":
        no_effect |= dict.fromkeys(UNUSED_BY_LBFGS, "has no effect with optimizer=lbfgs")
    if config.scales == 1:
        no_effect["coarse_steps"] = "has no effect with scales=1"
    else:
        no_effect["ema_decay"] = "not supported with several scales"
    for field in dataclasses.fields(config):
        if field.name in no_effect and getattr(config, field.name) != field.default:
            raise ConfigError(field.name, getattr(config, field.name), no_effect[field.name])
