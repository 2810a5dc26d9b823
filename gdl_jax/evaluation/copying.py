"""How much of what a model wrote stands in the sequences it was trained on, counted by runs of tokens (n-grams)."""

from collections.abc import Mapping

import numpy as np


def _runs(tokens: np.ndarray, length: int, separator: int) -> list[bytes]:
    """All runs of `length` tokens (..., T, F) without the separator, as bytes that can be compared."""
    if tokens.shape[-2] < length:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length, axis=-2)  # (..., T - length + 1, F, length)
    windows = windows.swapaxes(-2, -1).reshape(-1, length, tokens.shape[-1])
    whole = (windows[..., 0] != separator).all(axis=1)
    return [window.tobytes() for window in windows[whole]]


def copied_shares(
    training: np.ndarray, samples: Mapping[str, np.ndarray], *, length: int, separator: int
) -> dict[str, float]:
    """Returns, of all runs of `length` tokens in samples, the share that occurs in the training sequence.

    Runs that contain the separator don't count, so that a run is always from one text or piece.

    Args:
      training: (M,) integers, all training texts one after the other.
      samples: {kind: (N, T)}. A token may have F features, which must all be the same: (M, F) and (N, T, F).
      length: tokens of a run.
      separator: the token between two texts; of tokens with features, its first feature.

    Returns:
      {kind: share in [0, 1]}, NaN for a kind without any run.
    """

    def with_features(tokens, axes):
        tokens = np.asarray(tokens, np.int32)
        return tokens if tokens.ndim > axes else tokens[..., None]

    known = set(_runs(with_features(training, 1), length, separator))
    shares = {}
    for kind, rows in samples.items():
        copied = [run in known for run in _runs(with_features(rows, 2), length, separator)]
        shares[kind] = float(np.mean(copied)) if copied else float("nan")
    return shares
