"""Perceptual distance between aligned images, in the feature maps of a network.

The form is that of LPIPS (Zhang et al. 2018, equation 1) with uniform channel weights, the paper's baseline without
calibration. Values depend on the network and its layers: report them with it. They are not LPIPS, whose channel weights
were trained for other networks.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

SMALLEST_NORM = 1e-10


def perceptual_distance(a: Mapping[str, jax.Array], b: Mapping[str, jax.Array]) -> jax.Array:
    """Returns sum_l mean_hw || f_l(a) / |f_l(a)| - f_l(b) / |f_l(b)| ||^2, with f_l(x) the features of layer l at h, w.

    Each position's feature vector is scaled to unit length, so that no layer dominates. For features after a ReLU a
    layer adds at most 2.

    Args:
      a, b: {layer: (N, h, w, c)} of the same layers; h, w and c may differ between layers.

    Returns:
      (N,), 0 for equal features.
    """

    def unit(x):
        return x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + SMALLEST_NORM)

    if a.keys() != b.keys():
        raise ValueError(f"features of {sorted(a)} and of {sorted(b)}")
    return sum(jnp.square(unit(a[layer]) - unit(b[layer])).sum(-1).mean((1, 2)) for layer in a)
