"""Quality and diversity of samples, measured with a classifier: inception score, modes covered, KL divergences."""

import numpy as np

CONFIDENT = 0.5  # least probability of an image's class; less certain images are not counted
LEAST_SHARE = 0.01  # of images in a class that counts as a mode


def inception_score(probabilities: np.ndarray) -> float:
    """Returns exp(mean KL(p(y | x) || p(y))) in [1, K] (Salimans et al. 2016), over all samples at once.

    The original uses the Inception network's classes; with another classifier, name it.

    Args:
      probabilities: (N, K), rows summing to 1.
    """
    p = np.asarray(probabilities, np.float64)
    logarithm = np.log(p.clip(1e-30))
    marginal = np.log(p.mean(axis=0).clip(1e-30))
    return float(np.exp((p * (logarithm - marginal)).sum(axis=1).mean()))


def class_counts(probabilities: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Counts images by class, (N, K) -> (K,), ignoring those whose largest probability is below `least`."""
    sure = probabilities.max(axis=1) >= least
    return np.bincount(probabilities[sure].argmax(axis=1), minlength=probabilities.shape[1])


def modes(probabilities: np.ndarray) -> np.ndarray:
    """Returns which classes hold at least LEAST_SHARE of the images, counted with confidence: (N, K) -> (K,) bool.

    The two thresholds keep unrecognisable images and occasional errors of the classifier from counting as modes.
    """
    return class_counts(probabilities, CONFIDENT) >= LEAST_SHARE * len(probabilities)


def modes_covered(real: np.ndarray, fake: np.ndarray) -> int:
    """Counts the modes of the real images (N, K) that the generated ones (M, K) have too."""
    return int((modes(real) & modes(fake)).sum())


def kl_to_uniform(counts: np.ndarray) -> float:
    """Returns sum p log(p K), in nats: 0 if all K classes are equally frequent, log K if there is only one."""
    shares = counts / counts.sum()
    seen = shares[shares > 0]
    return float((seen * np.log(seen * len(shares))).sum())


def kl_to_real(fake: np.ndarray, real: np.ndarray) -> float:
    """Returns sum p log(p / q), in nats, for shares p of generated and q of real images, from counts (K,).

    Half an image is added to each count of real images, so that a class without any has a large but finite cost.
    """
    p, q = fake / fake.sum(), (real + 0.5) / (real + 0.5).sum()
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())
