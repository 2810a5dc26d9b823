"""Brightness and colours of pictures, as in the YIQ space of NTSC television."""

import numpy as np

# Rows: brightness Y, and the colours I (orange to blue) and Q (purple to green); columns: red, green and blue.
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float64)
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)


def with_colors_of(pictures: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Returns pictures with their own brightness and the colours of another (Gatys et al. 2016, "luminance-only").

    Args:
      pictures: (..., H, W, 3), RGB.
      colors: (H, W, 3), RGB.

    Returns:
      (..., H, W, 3); not clipped, since clipping would change brightness and colours.
    """
    brightness = (np.asarray(pictures, np.float64) @ RGB_TO_YIQ.T)[..., :1]
    hues = np.broadcast_to((np.asarray(colors, np.float64) @ RGB_TO_YIQ.T)[..., 1:], (*brightness.shape[:-1], 2))
    return np.concatenate([brightness, hues], axis=-1) @ YIQ_TO_RGB.T
