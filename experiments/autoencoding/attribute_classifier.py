"""Classifier of attributes: a run of `experiments.classifier` by which edits and translations are evaluated."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data.images import avatars
from gdl_jax.learners.gradient import apply_eval
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.images import image_batches
from gdl_jax.runs.restore import restore

# Attributes that are values of the same factor: an edit that adds one may remove the others.
GROUPS = (tuple(avatars.HAIR_COLORS), tuple(avatars.HAIRSTYLES), ("Eyeglasses", "Sunglasses"), ("Beard", "Moustache"))
BATCH = 500  # images per call


class AttributeClassifier(NamedTuple):
    """Classifier of attributes.

    Attributes:
      predict: images (N, S, S, C) in [0, 1] -> predicted attributes, (N, A) bool.
      names: of the attributes.
      accuracy: (A,), of each attribute on the classifier's test split.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    names: tuple[str, ...]
    accuracy: np.ndarray


def load_attribute_classifier(workdir: str) -> AttributeClassifier:
    """Returns the attribute classifier in a workdir; it resizes images to its own size.

    Raises:
      ConfigError: attribute_classifier holds none.
    """
    try:
        experiment, run, _ = restore(Path(workdir), warn=lambda text: None)
    except UserError as error:
        raise ConfigError("attribute_classifier", workdir, str(error)) from error
    if experiment.name != "classifier" or run.config.target != "attributes":
        raise ConfigError("attribute_classifier", workdir, "holds no classifier of attributes")
    (network,) = experiment.networks(run.config, run.data).values()
    size = network.inputs[0].shape[1]
    apply = jax.jit(lambda pixels: apply_eval(network.module, run.state.params, run.state.batch_stats, pixels))
    resize = jax.jit(lambda pixels: jax.image.resize(pixels, (len(pixels), size, size, pixels.shape[-1]), "linear"))

    def predict(pixels):
        if pixels.shape[1] != size:
            pixels = in_batches(resize, pixels, BATCH)
        return in_batches(apply, pixels, BATCH) > 0

    right = [
        (in_batches(apply, pixels, BATCH) > 0) == (rows["attributes"] > 0)
        for rows, pixels in image_batches(run.data, run.data.test, BATCH)
    ]
    return AttributeClassifier(predict, run.data.attributes, np.concatenate(right).mean(0))


def related_attributes(names: Sequence[str], name: str) -> np.ndarray:
    """Returns (A,) bool, true for `name` and the attributes in its group, which an edit that adds it may change.

    Args:
      names: of A attributes.
      name: of one of them.
    """
    group = next((group for group in GROUPS if name in group), (name,))
    return np.array([other in group for other in names])
