"""The confusion matrix of a classifier."""

import numpy as np


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns counts (K, K) by true class (row) and predicted class (column), for (N,), (N,) integers in [0, K)."""
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)
