"""Image data sets for experiments."""

from collections.abc import Iterator, Mapping

import jax
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import DataSet, Source
from gdl_jax.data.images.spec import image_data_spec
from gdl_jax.runs.config import ImageConfig


def load_data(config: ImageConfig) -> DataSet:
    """Returns the image data set that the config names.

    Raises:
      UserError: unknown name, a set of two domains, or missing or unreadable files.
    """
    _check_has_one_domain(config)
    return catalogue.load(
        config.dataset,
        data_dir=config.data_dir or None,
        image_size=config.image_size or None,
        train_examples=config.train_examples,
        validation_examples=config.validation_examples,
        avatars=config.avatars,
    )


def data_spec(config: ImageConfig) -> DataSet | None:
    """Returns a data set of one black image with the shapes of the config's; None if they depend on the data.

    Raises:
      ConfigError: a set of two domains.
    """
    _check_has_one_domain(config)
    return image_data_spec(config.dataset, config.image_size)


def _check_has_one_domain(config: ImageConfig) -> None:
    if config.dataset.partition(":")[0] in (*catalogue.PAIRED_KINDS, *catalogue.UNPAIRED_KINDS):
        raise ConfigError("dataset", config.dataset, "has two domains of images, for translation from one to the other")


def image_spec(data: DataSet) -> jax.ShapeDtypeStruct:
    """Returns shape and dtype of one image as networks receive it: (1, H, W, C)."""
    return jax.eval_shape(data.transform, data.example())["image"]


def image_batches(
    data: DataSet, source: Source, size: int, limit: int | None = None
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """Yields the first rows of a split in batches: (rows as stored, images (B, H, W, C) in [0, 1]).

    Args:
      data: the data set.
      source: one of its splits.
      size: rows per batch; the last batch may be smaller.
      limit: maximum number of rows; None: all.
    """
    count = len(source) if limit is None else min(limit, len(source))
    for first in range(0, count, size):
        rows = source.take(np.arange(first, min(first + size, count)))
        yield rows, np.asarray(data.transform(rows)["image"])
