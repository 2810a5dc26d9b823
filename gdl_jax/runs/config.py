"""Hyperparameters of every run; experiments add their own by inheriting from these classes."""

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import AtLeast, IsPath, IsPathAfter, MayChangeOnResume, Needs, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.parallel import PARALLEL
from gdl_jax.data.catalogue import PATH_KINDS

DTYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Hyperparameters of every run.

    Raises:
      ConfigError: a field has a value that its annotation forbids.
    """

    dataset: str  # name of the data set
    # directory of the data sets that are not bundled
    data_dir: Annotated[str, IsPath(), MayChangeOnResume()] = ""
    train_examples: Annotated[int, AtLeast(0)] = 0  # train on the first N examples only; 0: all
    seed: Annotated[int, AtLeast(0)] = 0  # determines initial parameters, batches and noise
    seeds: Annotated[int, AtLeast(1)] = 1  # number of runs trained in one program, with seeds seed, seed + 1, ...
    steps: Annotated[int, AtLeast(1), MayChangeOnResume()] = 1000  # total number of updates
    batch_size: Annotated[int, AtLeast(1)] = 32  # examples per update, over all devices
    # steps between rows of metrics.jsonl, each a mean over these steps
    log_every: Annotated[int, AtLeast(1), MayChangeOnResume()] = 100
    # steps between evaluations on the held-out split; 0: only at the end
    eval_every: Annotated[int, AtLeast(0), MayChangeOnResume(unless="patience")] = 500
    # steps between checkpoints; 0: only at the end
    checkpoint_every: Annotated[int, AtLeast(0), MayChangeOnResume()] = 500
    # evaluations without a lower validation loss after which training stops; 0: never
    patience: Annotated[int, AtLeast(0)] = 0
    # jit (sharded batch), fsdp (parameters and optimiser state sharded too) or pmap (one program per device)
    parallel: Annotated[str, OneOf(*PARALLEL), MayChangeOnResume()] = "jit"
    # f32, or bf16 for the arithmetic of layers (parameters stay float32)
    precision: Annotated[str, OneOf(*DTYPES)] = "f32"

    def __post_init__(self):
        config_flags.check(self)
        if self.seed + self.seeds > 2**31:
            raise ConfigError("seed", self.seed, f"must be below {2**31 - self.seeds + 1}")
        if self.patience and not self.eval_every:
            raise ConfigError("patience", self.patience, "needs eval_every of at least 1; 0 disables early stopping")


@dataclass(frozen=True, kw_only=True)
class ImageConfig(RunConfig):
    """Hyperparameters of every run on images: the data set, and how `images.load_data` prepares it."""

    # digits, avatars (bundled), mnist, cifar10, celeba, folder:PATH, npz:PATH, tfds:NAME
    dataset: Annotated[str, IsPathAfter(*PATH_KINDS)] = "digits"
    image_size: Annotated[int, AtLeast(0)] = 0  # resize images to this many pixels per side; 0: stored size
    # hold out N training examples for validation; 0: use the data set's own validation split
    validation_examples: Annotated[int, AtLeast(0)] = 0
    # number of faces in the bundled set `avatars`, and of drawings of them
    avatars: Annotated[int, AtLeast(10), Needs("dataset=avatars|drawings:edges|drawings:labels")] = 10_000
