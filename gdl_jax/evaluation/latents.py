"""How close the codes of a variational autoencoder are to its prior, N(0, 1) in each dimension."""

import numpy as np
from scipy import stats

ACTIVE_VARIANCE = 0.01


def latent_statistics(mean: np.ndarray, log_var: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """Numbers for a report.

    Args:
      mean, log_var: (N, z), of q(z | x) for N examples.
      codes: (N, z), one draw from each.

    Returns:
      "latent mean, largest": the largest |mean over examples| of a dimension of the codes; 0 is ideal.
      "latent std, smallest" and "latent std, largest": over dimensions; 1 is ideal.
      "latent KS distance, mean" and "... largest": the Kolmogorov-Smirnov distance between a dimension's codes and
        N(0, 1), in [0, 1], over dimensions. Draws from N(0, 1) itself have about 0.87 / sqrt(N).
      "active latent dimensions": those whose posterior mean has a variance over examples above 0.01
        (Burda et al. 2016, section 5.2).
    """
    distances = np.array([stats.kstest(column, "norm").statistic for column in codes.T])
    spread = codes.std(axis=0)
    return {
        "latent mean, largest": float(np.abs(codes.mean(axis=0)).max()),
        "latent std, smallest": float(spread.min()),
        "latent std, largest": float(spread.max()),
        "latent KS distance, mean": float(distances.mean()),
        "latent KS distance, largest": float(distances.max()),
        "active latent dimensions": float((mean.var(axis=0) > ACTIVE_VARIANCE).sum()),
    }
