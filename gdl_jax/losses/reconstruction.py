"""Reconstruction losses: one value per example; the caller takes the mean.

Any function (target (B, ...), prediction (B, ...)) -> (B,) can replace these:
reconstruction_loss=my_package.my_module:my_loss.
"""

import chex
import jax
import jax.numpy as jnp


def _check_pair(target: jax.Array, prediction: jax.Array) -> None:
    """Raises AssertionError if the shapes differ, even if they broadcast, or images are not floats."""
    chex.assert_equal_shape([target, prediction])
    chex.assert_type([target, prediction], float)


def _mean_over_pixels(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1).mean(axis=1)


def mse(target: jax.Array, prediction: jax.Array) -> jax.Array:
    """Returns mean_d (x_d - y_d)^2: the book's loss (03_01, 03_03), which its text calls RMSE.

    Args:
      target, prediction: (B, ...), of one shape.

    Returns:
      (B,).
    """
    _check_pair(target, prediction)
    return _mean_over_pixels(jnp.square(target - prediction))


def mae(target: jax.Array, prediction: jax.Array) -> jax.Array:
    """Returns mean_d |x_d - y_d|, the cycle-consistency and identity losses of CycleGAN and the L1 loss of pix2pix.

    Zhu et al. 2017, equation 2; Isola et al. 2017, equation 3; book 05_01.

    Args:
      target, prediction: (B, ...), of one shape.

    Returns:
      (B,).
    """
    _check_pair(target, prediction)
    return _mean_over_pixels(jnp.abs(target - prediction))


def rmse(target: jax.Array, prediction: jax.Array, epsilon: float = 1e-12) -> jax.Array:
    """Returns sqrt(mean_d (x_d - y_d)^2 + epsilon); epsilon keeps the gradient finite at a perfect reconstruction."""
    return jnp.sqrt(mse(target, prediction) + epsilon)


def bce(target: jax.Array, prediction: jax.Array, epsilon: float = 1e-6) -> jax.Array:
    """Returns -mean_d [x_d log y_d + (1 - x_d) log(1 - y_d)], with targets and predictions in [0, 1].

    Predictions are clipped to [epsilon, 1 - epsilon]; epsilon must be at least 1e-7, because 1 - 1e-8 is 1 in float32.
    """
    _check_pair(target, prediction)
    y = jnp.clip(prediction, epsilon, 1.0 - epsilon)
    return -_mean_over_pixels(target * jnp.log(y) + (1.0 - target) * jnp.log1p(-y))


RECONSTRUCTION_LOSSES = {"mse": mse, "mae": mae, "rmse": rmse, "bce": bce}
