"""Attribute vectors in a latent space, and the success rate of edits along them."""

import numpy as np


def attribute_vector(codes: np.ndarray, has: np.ndarray) -> np.ndarray:
    """Returns the mean code of examples with an attribute minus the mean code of those without it.

    The vector is not normalised: adding it once moves the average face without the attribute to the average with it.

    Args:
      codes: (N, z).
      has: (N,), 1 for examples with the attribute, else 0; both occur.

    Returns:
      (z,).

    Raises:
      ValueError: all examples have the attribute, or none.
    """
    has = np.asarray(has) > 0.5
    if has.all() or not has.any():
        raise ValueError("needs examples with the attribute and examples without it")
    return codes[has].mean(axis=0) - codes[~has].mean(axis=0)


def edit_success(
    before: np.ndarray, after: np.ndarray, column: int, related: np.ndarray, has: bool = True
) -> tuple[float, float]:
    """Returns how often an edit adds or removes an attribute, and how often it keeps the others.

    Args:
      before, after: (N, A), predicted attributes (0 or 1) of the decoded images before and after the edit.
      column: index of the attribute.
      related: (A,) bool, attributes that the edit changes by definition (the other values of the same factor). They
        are excluded from the attributes to keep, and so is `column`.
      has: True if the edit adds the attribute, which no image has before; False if it removes it.

    Returns:
      (share of images with, or without, the attribute after the edit; share of unchanged values among the attributes
      to keep).
    """
    others = ~np.asarray(related, bool)
    others[column] = False
    return float(((after[:, column] > 0.5) == has).mean()), float((before == after)[:, others].mean())
