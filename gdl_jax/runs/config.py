"""The hyperparameters of every run; experiments add their own by inheriting from these classes."""

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
    """What every run needs.

    Raises:
      ConfigError: a field has a value that its annotation forbids.
    """

    dataset: str  # by name
    # where the data sets that are not bundled lie
    data_dir: Annotated[str, IsPath(), MayChangeOnResume()] = ""
    train_examples: Annotated[int, AtLeast(0)] = 0  # train on the first N examples only; 0: all
    seed: Annotated[int, AtLeast(0)] = 0  # decides initial parameters, batches and noise
    seeds: Annotated[int, AtLeast(1)] = 1  # train this many networks in one program, with seeds seed, seed + 1, ...
    steps: Annotated[int, AtLeast(1), MayChangeOnResume()] = 1000  # updates in all
    batch_size: Annotated[int, AtLeast(1)] = 32  # examples an update, over all devices
    # steps between two rows of metrics.jsonl, each a mean over the steps between
    log_every: Annotated[int, AtLeast(1), MayChangeOnResume()] = 100
    # steps between two passes over the held-out split; 0: at the end only
    eval_every: Annotated[int, AtLeast(0), MayChangeOnResume(unless="patience")] = 500
    # steps between two checkpoints; 0: at the end only
    checkpoint_every: Annotated[int, AtLeast(0), MayChangeOnResume()] = 500
    # evaluations without a lower held-out loss after which training stops; 0: never
    patience: Annotated[int, AtLeast(0)] = 0
    # jit (sharded batch), fsdp (parameters and optimiser state sharded too) or pmap (the body once a device)
    parallel: Annotated[str, OneOf(*PARALLEL), MayChangeOnResume()] = "jit"
    # f32, or bf16 for the arithmetic of layers (parameters stay float32)
    precision: Annotated[str, OneOf(*DTYPES)] = "f32"

    def __post_init__(self):
        config_flags.check(self)
        if self.seed + self.seeds > 2**31:
            raise ConfigError("seed", self.seed, f"must be below {2**31 - self.seeds + 1}")
        if self.patience and not self.eval_every:
            raise ConfigError("patience", self.patience, "needs eval_every of at least 1; 0 never stops early")


@dataclass(frozen=True, kw_only=True)
class ImageConfig(RunConfig):
    """What every run on images needs: which images, and what `images.load_data` makes of them."""

    # digits, avatars (bundled), mnist, cifar10, celeba, folder:PATH, npz:PATH, tfds:NAME
    dataset: Annotated[str, IsPathAfter(*PATH_KINDS)] = "digits"
    image_size: Annotated[int, AtLeast(0)] = 0  # resize images to this many pixels a side; 0: as stored
    # hold out N training examples for validation; 0: the set's own validation split
    validation_examples: Annotated[int, AtLeast(0)] = 0
    # how many faces the bundled set `avatars` has
    avatars: Annotated[int, AtLeast(10), Needs("dataset=avatars")] = 10_000
