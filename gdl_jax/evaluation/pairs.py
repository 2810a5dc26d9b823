"""Differences between aligned images: translations and their true counterparts, or images before and after a change.

Images are (N, H, W, C) in [0, 1]; each measure is (N,), one value per image, in float64. Large sets are compared in
blocks: memory grows with the block, not with N.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

VALUES_AT_ONCE = 2**21  # of one set of images: 16 MiB for each intermediate array
WINDOW, SIGMA = 11, 1.5  # of SSIM, in pixels
K1, K2 = 0.01, 0.03
ROUNDING = (1 / 255) ** 2 / 12  # mean squared error of rounding to 256 values


def _in_blocks(measure: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Returns `measure` of images (N, H, W, C), computed in blocks of images.

    Raises:
      ValueError: the arrays are not images, or have different shapes.
    """
    shapes = {np.shape(array) for array in arrays}
    if len(shapes) > 1 or any(len(shape) != 4 for shape in shapes):
        raise ValueError(f"aligned images have one shape (N, H, W, C), not {sorted(shapes)}")
    count = max(1, VALUES_AT_ONCE // max(1, arrays[0][:1].size))
    blocks = (slice(first, first + count) for first in range(0, len(arrays[0]), count))
    parts = [measure(*(np.asarray(array[block], np.float64) for array in arrays)) for block in blocks]
    return np.concatenate([np.empty(0), *parts])


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference over pixels and channels, (N, H, W, C) twice -> (N,) in [0, 1]."""
    return _in_blocks(lambda a, b: np.abs(a - b).mean(axis=(1, 2, 3)), a, b)


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio -10 log10(mean (a - b)^2) in dB, (N, H, W, C) twice -> (N,).

    Errors below that of rounding to 256 values, (1 / 255)^2 / 12, count as such, so that equal images have 58.9 dB and
    a mean over images is finite.
    """
    errors = _in_blocks(lambda a, b: np.square(a - b).mean(axis=(1, 2, 3)), a, b)
    return -10.0 * np.log10(np.maximum(errors, ROUNDING))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the structural similarity of Wang et al. 2004 (equation 13), (N, H, W, C) twice -> (N,) in [-1, 1].

    (2 m_a m_b + C1) (2 s_ab + C2) / ((m_a^2 + m_b^2 + C1) (s_a^2 + s_b^2 + C2)) with C1 = 0.01^2 and C2 = 0.03^2. The
    means m, variances s^2 and covariance s_ab are weighted by a Gaussian of standard deviation 1.5 on 11x11 pixels.
    Averaged over the windows that lie inside the image and over channels; the paper compares luminance alone.

    Raises:
      ValueError: an image is smaller than the window.
    """
    if min(np.shape(a)[1:3]) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, not {np.shape(a)[1:3]}")
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * np.square(offsets / SIGMA))
    weights /= weights.sum()
    inside = slice(WINDOW // 2, -(WINDOW // 2))

    def average(x):
        rows = ndimage.correlate1d(x, weights, axis=1)[:, inside]
        return ndimage.correlate1d(rows, weights, axis=2)[:, :, inside]

    def similarity(a, b):
        mean_a, mean_b = average(a), average(b)
        covariance = average(a * b) - mean_a * mean_b
        variances = average(a * a + b * b) - mean_a**2 - mean_b**2
        luminance = (2 * mean_a * mean_b + K1**2) / (mean_a**2 + mean_b**2 + K1**2)
        return (luminance * (2 * covariance + K2**2) / (variances + K2**2)).mean(axis=(1, 2, 3))

    return _in_blocks(similarity, a, b)


def background_shift(before: np.ndarray, after: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Returns the mean absolute change of the pixels outside the subject, over pixels and channels.

    A translation should leave the background as it is; without an identity loss CycleGAN tends to shift its colour
    (Zhu et al. 2017, figure 9; the book's figure 5-9).

    Args:
      before, after: (N, H, W, C).
      subject: (N, H, W) bool, true for the pixels that the translation is to change.

    Returns:
      (N,) in [0, 1]; NaN for an image without background.

    Raises:
      ValueError: the mask has another size than the images.
    """
    if np.shape(subject) != np.shape(before)[:3]:
        raise ValueError(f"the mask is {np.shape(subject)}, the images are {np.shape(before)}")
    outside = np.broadcast_to(~np.asarray(subject, bool)[..., None], np.shape(before))

    def shift(before, after, outside):
        with np.errstate(invalid="ignore"):
            return (np.abs(after - before) * outside).sum(axis=(1, 2, 3)) / outside.sum(axis=(1, 2, 3))

    return _in_blocks(shift, before, after, outside)
