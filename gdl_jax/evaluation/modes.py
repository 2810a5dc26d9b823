"""What a classifier says of samples: whether they are clear, and whether they are of all kinds."""

import numpy as np


def inception_score(probabilities: np.ndarray) -> float:
    """exp(mean KL(p(y | x) || p(y))) of Salimans et al. 2016, in [1, K], over all samples at once.

    Theirs is the score with the Inception network's classes; with another classifier, name it.

    Args:
      probabilities: (N, K), rows summing to 1.
    """
    p = np.asarray(probabilities, np.float64)
    logarithm = np.log(p.clip(1e-30))
    marginal = np.log(p.mean(axis=0).clip(1e-30))
    return float(np.exp((p * (logarithm - marginal)).sum(axis=1).mean()))


def class_shares(predictions: np.ndarray, classes: int) -> np.ndarray:
    """Share of each class: (N,) integers in [0, classes) -> (classes,)."""
    return np.bincount(predictions, minlength=classes) / len(predictions)


def modes_covered(shares: np.ndarray, least: float = 0.01) -> int:
    """Classes that at least the share `least` of samples falls into; a classifier's slips alone shouldn't cover one."""
    return int((shares >= least).sum())


def kl_to_uniform(shares: np.ndarray) -> float:
    """sum p log(p K), in nats: 0 where all K classes are equally frequent, log K where there is one only."""
    seen = shares[shares > 0]
    return float((seen * np.log(seen * len(shares))).sum())
