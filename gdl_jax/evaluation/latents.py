"""How close codes are to N(0, 1) in each dimension, a variational autoencoder's prior, or to other codes."""

import numpy as np
from jax.scipy.special import ndtr

ACTIVE_VARIANCE = 0.01


def distance_from_normal(codes: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distance in [0, 1] of each dimension of codes (N, z) from N(0, 1): (z,)."""
    below = np.asarray(ndtr(np.sort(codes, axis=0).astype(np.float32)))
    first = np.arange(len(codes))[:, None] / len(codes)  # the share of codes below each, which jumps there
    return np.maximum(below - first, first + 1 / len(codes) - below).max(axis=0)


def distance_between(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Kolmogorov-Smirnov distance in [0, 1] of each dimension of codes (N, z) from that of others (M, z): (z,).

    NaN where one of them has any.
    """

    def largest_gap(one, other):
        places = np.concatenate([one, other])
        shares = [np.searchsorted(np.sort(side), places, side="right") / len(side) for side in (one, other)]
        return np.nan if np.isnan(places).any() else np.abs(np.subtract(*shares)).max()

    return np.array([largest_gap(*columns) for columns in zip(codes.T, others.T, strict=True)])


def latent_statistics(mean: np.ndarray, log_var: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """Numbers for a report.

    Args:
      mean, log_var: (N, z), of q(z | x) for N examples.
      codes: (N, z), one draw from each.

    Returns:
      "latent_mean_max": the largest |mean over examples| of a dimension of the codes; 0 is ideal.
      "latent_std_min" and "latent_std_max": over dimensions; 1 is ideal.
      "latent_ks_distance_mean" and "latent_ks_distance_max": the Kolmogorov-Smirnov distance between a dimension's
        codes and N(0, 1), in [0, 1], over dimensions. Draws from N(0, 1) itself have about 0.87 / sqrt(N).
      "active_latent_dimensions": how many dimensions have a posterior mean whose variance over examples is above 0.01
        (Burda et al. 2016, section 5.2).
    """
    distances = distance_from_normal(codes)
    spread = codes.std(axis=0)
    return {
        "latent_mean_max": float(np.abs(codes.mean(axis=0)).max()),
        "latent_std_min": float(spread.min()),
        "latent_std_max": float(spread.max()),
        "latent_ks_distance_mean": float(distances.mean()),
        "latent_ks_distance_max": float(distances.max()),
        "active_latent_dimensions": float((mean.var(axis=0) > ACTIVE_VARIANCE).sum()),
    }
