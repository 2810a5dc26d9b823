"""Distances between a set of real and a set of generated images, in the feature space of some network.

Every number depends on the network, on how images are resized for it, and on how many of them there are: name them
beside it. Arrays are (N, D); arithmetic is float64 where sums are long.
"""

import numpy as np


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), the FID of Heusel et al. 2017 (equation 6); at least 0.

    The trace of the root is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric: no
    root of a matrix that isn't, and so no imaginary parts to drop. Biased upwards where samples are few: with fewer
    than D rows a covariance is singular, and the bias is large.

    Args:
      real, fake: (N, D) and (M, D), N and M at least 2.
    """
    means, covariances = [], []
    for features in (real, fake):
        features = np.asarray(features, np.float64)
        means.append(features.mean(axis=0))
        covariances.append(np.atleast_2d(np.cov(features, rowvar=False)))
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ covariances[1] @ root)
    trace = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.sqrt(product.clip(0)).sum()
    return float(max(0.0, np.square(means[0] - means[1]).sum() + trace))


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """The KID of Binkowski et al. 2018: the unbiased estimate of the squared MMD with kernel (x.y / D + 1)^3.

    Unbiased for any number of samples, and so negative now and then. Over all pairs, where the authors average over
    subsets, whose mean has the same expectation and more variance.

    Args:
      real, fake: (N, D) and (M, D), N and M at least 2.
    """
    real, fake = (np.asarray(features, np.float64) for features in (real, fake))

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1.0) ** 3

    def mean_of_different(features):
        values, count = kernel(features, features), len(features)
        return (values.sum() - np.trace(values)) / (count * (count - 1))

    return float(mean_of_different(real) + mean_of_different(fake) - 2 * kernel(real, fake).mean())


def pairwise_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances, (N, D), (M, D) -> (N, M) float64."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.sqrt(squares.clip(0))


def _radii(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Of each row, the distance to its `neighbours`-th nearest other row."""
    distances = pairwise_distances(features, features)
    np.fill_diagonal(distances, 0.0)  # rounding may have made a row further from itself than from another
    return np.partition(distances, neighbours, axis=1)[:, neighbours]


def precision_and_recall(real: np.ndarray, fake: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """The improved precision and recall of Kynkäänniemi et al. 2019 (equations 1 and 2), each in [0, 1].

    Precision is the share of generated images inside the real manifold, recall that of real images inside the
    generated one; a manifold is the union of balls around its images that reach to their k-th neighbour.

    Args:
      real, fake: (N, D) and (M, D), each with more than `neighbours` rows.
      neighbours: k.
    """
    distances = pairwise_distances(real, fake)
    precision = (distances <= _radii(real, neighbours)[:, None]).any(axis=0).mean()
    recall = (distances <= _radii(fake, neighbours)).any(axis=1).mean()
    return float(precision), float(recall)


def density_and_coverage(real: np.ndarray, fake: np.ndarray, neighbours: int = 5) -> tuple[float, float]:
    """Naeem et al. 2020, equations 6 and 7: less easily fooled by outliers than precision and recall.

    Density counts, for a generated image, the balls of real images that it lies in, over k (it may exceed 1); coverage
    is the share of real images with a generated one in their ball.

    Args:
      real, fake: (N, D) and (M, D), real with more than `neighbours` rows.
      neighbours: k.
    """
    inside = pairwise_distances(real, fake) <= _radii(real, neighbours)[:, None]
    return float(inside.sum(axis=0).mean() / neighbours), float(inside.any(axis=1).mean())
