"""What a classifier says of samples: whether they are clear, and whether they are of all kinds."""

import numpy as np

CONFIDENT = 0.5  # least probability of the class that an image counts for; below it the image is of no kind
LEAST_SHARE = 0.01  # of images that a class must have to count as a mode


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


def class_counts(probabilities: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Images of each class: (N, K) -> (K,); one whose largest probability is below `least` is of none."""
    sure = probabilities.max(axis=1) >= least
    return np.bincount(probabilities[sure].argmax(axis=1), minlength=probabilities.shape[1])


def modes(probabilities: np.ndarray) -> np.ndarray:
    """Which classes at least LEAST_SHARE of the images are clearly of: (N, K) -> (K,) bool.

    A classifier names a class for junk too, but seldom with confidence, and it slips now and then: neither alone should
    make a mode.
    """
    return class_counts(probabilities, CONFIDENT) >= LEAST_SHARE * len(probabilities)


def modes_covered(real: np.ndarray, fake: np.ndarray) -> int:
    """How many modes of the real images generated ones have too: (N, K), (M, K) -> at most the sum of `modes(real)`."""
    return int((modes(real) & modes(fake)).sum())


def kl_to_uniform(counts: np.ndarray) -> float:
    """sum p log(p K), in nats: 0 where all K classes are equally frequent, log K where there is one only."""
    shares = counts / counts.sum()
    seen = shares[shares > 0]
    return float((seen * np.log(seen * len(shares))).sum())


def kl_to_real(fake: np.ndarray, real: np.ndarray) -> float:
    """sum p log(p / q), in nats, p and q being the shares of generated and of real images: (K,) counts each.

    Half an image is added to each of the real ones' counts, so that a class that they happen to lack costs much but not
    infinitely much.
    """
    p, q = fake / fake.sum(), (real + 0.5) / (real + 0.5).sum()
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())
