"""Overlap of generated sequences with the training data: the share of their n-grams that occur in it."""

from collections.abc import Mapping

import numpy as np


def _n_grams(tokens: np.ndarray, length: int, separator: int) -> list[bytes]:
    """Returns all n-grams, n = `length`, of tokens (..., T, F) without the separator, as hashable bytes."""
    if tokens.shape[-2] < length:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length, axis=-2)  # (..., T - length + 1, F, length)
    windows = windows.swapaxes(-2, -1).reshape(-1, length, tokens.shape[-1])
    whole = (windows[..., 0] != separator).all(axis=1)
    return [window.tobytes() for window in windows[whole]]


def copied_shares(
    training: np.ndarray, samples: Mapping[str, np.ndarray], *, length: int, separator: int
) -> dict[str, float]:
    """Returns the share of the samples' n-grams that occur in the training sequence.

    N-grams that contain the separator are ignored, so that each lies within one text or piece.

    Args:
      training: (M,) integers, the concatenated training texts.
      samples: {kind: (N, T)}. Tokens may have F features, (M, F) and (N, T, F); equal tokens agree in all of them.
      length: n, in tokens.
      separator: the token between two texts; for tokens with features, its first feature.

    Returns:
      {kind: share in [0, 1]}, NaN for a kind without any n-gram.
    """

    def with_features(tokens, axes):
        tokens = np.asarray(tokens, np.int32)
        return tokens if tokens.ndim > axes else tokens[..., None]

    known = set(_n_grams(with_features(training, 1), length, separator))
    shares = {}
    for kind, rows in samples.items():
        copied = [n_gram in known for n_gram in _n_grams(with_features(rows, 2), length, separator)]
        shares[kind] = float(np.mean(copied)) if copied else float("nan")
    return shares
