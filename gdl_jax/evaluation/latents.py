"""Distances of latent codes, dimension by dimension, from N(0, 1) (the prior of a VAE) or from other codes."""

import numpy as np
from jax.scipy.special import ndtr

ACTIVE_VARIANCE = 0.01


def distance_from_normal(codes: np.ndarray) -> np.ndarray:
    """Returns the Kolmogorov-Smirnov distance in [0, 1] of each dimension of codes (N, z) from N(0, 1): (z,)."""
    below = np.asarray(ndtr(np.sort(codes, axis=0).astype(np.float32)))
    first = np.arange(len(codes))[:, None] / len(codes)  # share of codes below each one
    return np.maximum(below - first, first + 1 / len(codes) - below).max(axis=0)


def distance_between(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the Kolmogorov-Smirnov distance in [0, 1] between codes (N, z) and others (M, z) per dimension: (z,).

    A dimension with a NaN in either has distance NaN.
    """

    def largest_gap(one, other):
        places = np.concatenate([one, other])
        shares = [np.searchsorted(np.sort(side), places, side="right") / len(side) for side in (one, other)]
        return np.nan if np.isnan(places).any() else np.abs(np.subtract(*shares)).max()

    return np.array([largest_gap(*columns) for columns in zip(codes.T, others.T, strict=True)])


def latent_statistics(mean: np.ndarray, log_var: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """Returns statistics of latent codes for a report.

    Args:
      mean, log_var: (N, z), of q(z | x) for N examples.
      codes: (N, z), one sample from each.

    Returns:
      "latent_mean_max": largest |mean over examples| of the codes, over dimensions; ideally 0.
      "latent_std_min", "latent_std_max": smallest and largest standard deviation, over dimensions; ideally 1.
      "latent_ks_distance_mean", "latent_ks_distance_max": Kolmogorov-Smirnov distance from N(0, 1) in [0, 1], over
        dimensions. Samples from N(0, 1) itself have about 0.87 / sqrt(N).
      "active_latent_dimensions": number of dimensions whose posterior mean has a variance over examples above 0.01
        (Burda et al. 2016, section 5.2).
    """
    distances = distance_from_normal(codes)
    std = codes.std(axis=0)
    return {
        "latent_mean_max": float(np.abs(codes.mean(axis=0)).max()),
        "latent_std_min": float(std.min()),
        "latent_std_max": float(std.max()),
        "latent_ks_distance_mean": float(distances.mean()),
        "latent_ks_distance_max": float(distances.max()),
        "active_latent_dimensions": float((mean.var(axis=0) > ACTIVE_VARIANCE).sum()),
    }
