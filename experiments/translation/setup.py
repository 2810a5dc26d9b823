"""Config, data and networks that CycleGAN and pix2pix share."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gdl_jax.core.config_flags import Above, AtLeast, EvaluationOnly, IsPath, IsPathAfter, OneOf, needing
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Batch, Learner
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import DataSet
from gdl_jax.data.images.domains import TwoDomains, by_domains, swapped
from gdl_jax.data.images.jitter import jitter_domains
from gdl_jax.data.images.spec import two_domains_spec
from gdl_jax.learners.augmented import augmented
from gdl_jax.learners.optimizers import ScheduleConfig
from gdl_jax.models import patchgan, resnet_generator, unet
from gdl_jax.models.cyclegan import DIRECTIONS
from gdl_jax.runs.config import DTYPES, ImageConfig
from gdl_jax.runs.experiment import Network

EVALUATION_BATCH = 8  # rows of a data set; CycleGAN makes six images of each
LEAST_COMPARED = 10  # images of each domain


@dataclass(frozen=True, kw_only=True)
class Config(
    ImageConfig,
    ScheduleConfig,
    needing(unet.Config, "generator=unet"),
    needing(resnet_generator.Config, "generator=resnet"),
    patchgan.Config,
):
    """Hyperparameters of translation between two domains of images.

    Both optimisers follow the schedule. The moving average is over the generators' parameters; samples use it.
    """

    # drawings:edges, drawings:labels (bundled), apple2orange, monet2photo, facades, unpaired:PATH or paired:PATH; or a
    # set of images with attributes or classes, such as avatars, whose domains are named by `domains`
    dataset: Annotated[str, IsPathAfter(*catalogue.PATH_KINDS)] = "avatars"
    # two attributes or classes that make the domains of other sets; a leading minus: images without it. The numbers of
    # train_examples and validation_examples are those of the set before it is divided
    domains: tuple[str, ...] = ()
    direction: Annotated[str, OneOf(*DIRECTIONS)] = "AtoB"  # AtoB, or BtoA, which exchanges the domains
    # enlarge training images by this factor, then crop them at random places; 1: don't
    jitter: Annotated[float, AtLeast(1)] = 1.0
    flip: bool = True  # mirror half of the training images
    generator: Annotated[str, OneOf("unet", "resnet")] = "unet"  # unet or resnet
    generator_optimizer: str = "adam_0.5"  # by name or package.module:function
    generator_learning_rate: Annotated[float, Above(0)] = 2e-4  # of the generators; with a schedule, its peak
    critic_optimizer: str = "adam_0.5"  # by name or package.module:function
    critic_learning_rate: Annotated[float, Above(0)] = 2e-4  # of the critics; with a schedule, its peak
    # factor of the adversarial loss in the generator's loss
    adversarial_weight: Annotated[float, AtLeast(0)] = 1.0
    # feature extractor for KID: vgg16 (of pairs, it measures the perceptual distance, too), inception:PATH, or the
    # workdir of a `classifier` run; empty: none
    features: Annotated[str, IsPath(names=("", "vgg16"), kinds=("inception",)), EvaluationOnly()] = ""
    # workdir of a `classifier` run on attributes, which checks translated faces; empty: none
    attribute_classifier: Annotated[str, IsPath(), EvaluationOnly()] = ""
    # largest number of held-out images of each domain that are translated and measured
    judged_samples: Annotated[int, AtLeast(LEAST_COMPARED), EvaluationOnly()] = 1000


def load(config: Config, paired: bool) -> TwoDomains:
    """Returns the data set, with its domains exchanged if the config says so.

    Raises:
      UserError: it cannot be loaded, it is not of two domains, or lacks a test split.
      ConfigError: pairs are needed and the set has none.
    """
    data = catalogue.load(
        config.dataset,
        data_dir=config.data_dir or None,
        image_size=config.image_size or None,
        train_examples=config.train_examples,
        validation_examples=config.validation_examples,
        avatars=config.avatars,
    )
    if config.domains or not isinstance(data, TwoDomains):
        data = _by_domains(config, data)
    if paired and not data.paired:
        raise ConfigError("dataset", config.dataset, "has no pairs")
    if data.test is None:
        raise ConfigError("dataset", config.dataset, "has no test split to translate")
    return swapped(data) if config.direction == "BtoA" else data


def _by_domains(config: Config, data: DataSet) -> TwoDomains:
    if len(config.domains) != 2:
        raise ConfigError("domains", config.domains, f"{data.name} needs the names of two attributes or classes")
    return by_domains(data, *config.domains)


def spec(config: Config) -> DataSet | None:
    """Returns one black image of each domain, of the data set's shapes; None if the data decide."""
    return two_domains_spec(config.dataset, config.image_size)


def image_spec(data: DataSet) -> jax.ShapeDtypeStruct:
    """Returns shape and dtype of one image of either domain as networks receive it: (1, H, W, C)."""
    return jax.eval_shape(data.transform, data.example())["a"]


def make_generator(config: Config, channels: int = 3, axis_name: str | None = None) -> nn.Module:
    """Returns the generator of one direction."""
    network = {"unet": unet.UNet, "resnet": resnet_generator.ResNetGenerator}[config.generator]
    return network(config, channels, DTYPES[config.precision], axis_name)


def make_critic(config: Config, axis_name: str | None = None) -> patchgan.PatchGAN:
    """Returns the critic of one domain."""
    return patchgan.PatchGAN(config, DTYPES[config.precision], axis_name)


def network_of(module: nn.Module, *images: Any) -> Network:
    """Returns a network of images in [-1, 1]."""
    return Network(module, tuple(jax.ShapeDtypeStruct(image.shape, jnp.float32) for image in images))


def with_jitter(learner: Learner, config: Config, paired: bool, axis_name: str | None) -> Learner:
    """Returns the learner with the config's changes of training images."""
    if config.jitter == 1 and not config.flip:
        return learner
    change = partial(jitter_domains, enlarge=config.jitter, flip=config.flip, paired=paired)

    def augment(batch: Batch, keys: jax.Array) -> Batch:
        return change(dict(batch), keys)

    return augmented(learner, augment, axis_name)
