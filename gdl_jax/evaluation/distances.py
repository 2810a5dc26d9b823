"""Distances between sets of real and generated images, in the feature space of a network.

Every value depends on the network, on how images are resized for it and on the number of images: report them with it.
Arrays are (N, D); long sums are in float64. Comparisons of all pairs of images are made in blocks of rows: memory grows
with N, not with N^2.
"""

from collections.abc import Iterator

import numpy as np

PAIRS_AT_ONCE = 2**22  # 32 MiB


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), the FID of Heusel et al. 2017 (equation 6); at least 0.

    The trace of the root is the sum of the square roots of the eigenvalues of C1^(1/2) C2 C1^(1/2). That matrix is
    symmetric, so there are no imaginary parts to drop. The estimate is biased upwards for few samples: with fewer than
    D rows a covariance is singular and the bias is large.

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


def _row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Returns slices of the rows of a (rows, columns) matrix, with about PAIRS_AT_ONCE entries each."""
    size = max(1, PAIRS_AT_ONCE // columns)
    return (slice(first, min(first + size, rows)) for first in range(0, rows, size))


def kernel_distance(real: np.ndarray, fake: np.ndarray, *, normalise: bool = False) -> float:
    """Returns the KID of Binkowski et al. 2018: an unbiased estimate of the squared MMD with kernel (x.y / D + 1)^3.

    It is unbiased for any number of samples, so it can be negative. It uses all pairs; the authors average over
    subsets, which has the same expectation and a larger variance.

    Args:
      real, fake: (N, D) and (M, D), N and M at least 2.
      normalise: scale each row to the norm sqrt(D) first. The kernel supposes features of order one, as Inception's
        are: where some rows are much larger, cubes of their products decide the estimate.
    """
    real, fake = (np.asarray(features, np.float64) for features in (real, fake))
    if normalise:
        real, fake = (x / np.sqrt(np.square(x).mean(axis=1, keepdims=True).clip(1e-12)) for x in (real, fake))

    def kernel(products):
        base = products / real.shape[1] + 1.0
        return base * base * base  # numpy's ** takes ten times as long

    def total(a, b):
        return sum(kernel(a[block] @ b.T).sum() for block in _row_blocks(len(a), len(b)))

    def mean_of_different(features):
        count = len(features)
        diagonal = kernel(np.square(features).sum(axis=1)).sum()
        return (total(features, features) - diagonal) / (count * (count - 1))

    mixed = total(real, fake) / (len(real) * len(fake))
    return float(mean_of_different(real) + mean_of_different(fake) - 2 * mixed)


def pairwise_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns Euclidean distances, (N, D), (M, D) -> (N, M) float64."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    return np.sqrt(squares.clip(0))


def _distance_blocks(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (rows of a, their distances (rows, M) to all rows of b), block by block."""
    return ((block, pairwise_distances(a[block], b)) for block in _row_blocks(len(a), len(b)))


def _radii(features: np.ndarray, neighbours: int) -> np.ndarray:
    """Returns the distance of each row to its `neighbours`-th nearest other row, (N,)."""
    radii = np.empty(len(features))
    for block, distances in _distance_blocks(features, features):
        own = np.arange(block.start, block.stop)
        distances[own - block.start, own] = 0.0  # rounding errors may exceed the distance to another row
        radii[block] = np.partition(distances, neighbours, axis=1)[:, neighbours]
    return radii


def precision_and_recall(real: np.ndarray, fake: np.ndarray, neighbours: int = 3) -> tuple[float, float]:
    """Returns the improved precision and recall of Kynkäänniemi et al. 2019 (equations 1 and 2), each in [0, 1].

    Precision is the share of generated images inside the real manifold; recall is the share of real images inside the
    generated manifold. A manifold is the union of balls around its images, each of which reaches the k-th neighbour.

    Args:
      real, fake: (N, D) and (M, D), each with more than `neighbours` rows.
      neighbours: k.
    """
    real_radii, fake_radii = _radii(real, neighbours), _radii(fake, neighbours)
    in_real, in_fake = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    for block, distances in _distance_blocks(real, fake):
        in_real |= (distances <= real_radii[block, None]).any(axis=0)
        in_fake[block] = (distances <= fake_radii).any(axis=1)
    return float(in_real.mean()), float(in_fake.mean())


def density_and_coverage(real: np.ndarray, fake: np.ndarray, neighbours: int = 5) -> tuple[float, float]:
    """Returns density and coverage (Naeem et al. 2020, equations 6 and 7), which outliers affect less.

    Density is the mean number of real images' balls that a generated image lies in, divided by k; it may exceed 1.
    Coverage is the share of real images whose ball contains a generated image.

    Args:
      real, fake: (N, D) and (M, D), real with more than `neighbours` rows.
      neighbours: k.
    """
    radii = _radii(real, neighbours)
    held = np.empty(len(real))  # generated images in each ball
    for block, distances in _distance_blocks(real, fake):
        held[block] = (distances <= radii[block, None]).sum(axis=1)
    return float(held.sum() / (neighbours * len(fake))), float((held > 0).mean())
