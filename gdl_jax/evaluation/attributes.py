"""Directions in a latent space that stand for attributes, and whether following them does what it should."""

import numpy as np


def attribute_vector(codes: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Mean code of the examples that have an attribute minus that of the others.

    It is not normalised: adding it once moves a face without the attribute to where those with it are on average.

    Args:
      codes: (N, z).
      has: (N,), 0 or 1; both occur.

    Returns:
      (z,).

    Raises:
      ValueError: all examples have the attribute, or none.
    """
    has = np.asarray(has) > 0.5
    if has.all() or not has.any():
        raise ValueError("needs examples with the attribute and examples without it")
    return codes[has].mean(axis=0) - codes[~has].mean(axis=0)


def edit_success(before: np.ndarray, after: np.ndarray, column: int, related: np.ndarray) -> tuple[float, float]:
    """How often an edit gave an image the attribute, and how often it left the others alone.

    Args:
      before, after: (N, A), predicted attributes (0 or 1) of the decoded images before and after the edit.
      column: the attribute that was added; only images without it before are edited.
      related: (A,) bool, attributes that the edit changes by definition (the other values of the same factor) and that
        are not counted among those to be kept; `column` is left out in any case.

    Returns:
      (share of images that have the attribute after, share of other attributes, over images, that are as before).
    """
    others = ~np.asarray(related, bool)
    others[column] = False
    return float((after[:, column] > 0.5).mean()), float((before == after)[:, others].mean())
