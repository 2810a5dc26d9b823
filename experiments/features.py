"""The network that evaluations of samples see with: a classifier that `experiments.classifier` trained."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.restore import restore
from gdl_jax.core.errors import UserError

BATCH = 250


class Features(NamedTuple):
    """A network as evaluations use it.

    Attributes:
      name: to name beside every number.
      classes: of its logits.
      extract: images (N, H, W, C) in [0, 1], of any size -> features (N, D) and probabilities (N, K).
    """

    name: str
    classes: tuple[str, ...]
    extract: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def load_features(workdir: Path) -> Features:
    """The classifier of a finished run; its features are what its last dense layer sees.

    Raises:
      UserError: the workdir holds no classifier of labels.
    """
    from experiments import classifier  # it is an experiment, and may come to use evaluations of samples itself

    experiment, run, _ = restore(workdir, warn=lambda text: None)
    if experiment.name != "classifier" or run.config.target != "label":
        raise UserError(f"--features={workdir}: holds no `classifier` of labels")
    (part,) = classifier.parts(run.config, run.data).values()
    height, width, channels = part.inputs[0].shape[1:]
    variables = {"params": run.state.params, "batch_stats": run.state.batch_stats}

    @jax.jit
    def apply(images):
        images = jax.image.resize(images, (len(images), height, width, images.shape[-1]), "linear")
        if channels == 1:
            images = images.mean(axis=-1, keepdims=True)
        images = jnp.broadcast_to(images, (*images.shape[:3], channels))
        logits, sown = part.module.apply(variables, images, False, mutable=["intermediates"])
        return sown["intermediates"]["features"][0], jax.nn.softmax(logits)

    def extract(images):
        parts = [jax.device_get(apply(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    name = f"features of {run.config.model} on {run.data.name} at step {run.step}, bilinear resize to {height}x{width}"
    return Features(name, run.data.classes, extract)
