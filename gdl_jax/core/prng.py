"""Random numbers that do not depend on how a batch is split over devices."""

import jax
import jax.numpy as jnp
from jax import lax


def example_keys(key: jax.Array, batch_size: int, axis_name: str | None = None) -> jax.Array:
    """Returns one key per example, (B,): a function of `key` and of the example's position in the global batch.

    Args:
      key: one key, the same on every device.
      batch_size: examples in this batch; under pmap, those on this device.
      axis_name: the pmapped axis over which the global batch is split, or None.
    """
    first = 0 if axis_name is None else lax.axis_index(axis_name) * batch_size
    return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(batch_size))


def example_normal(key: jax.Array, shape: tuple[int, ...], axis_name: str | None = None) -> jax.Array:
    """Draws N(0, 1) noise of shape (B, ...) with one key per example."""
    return jax.vmap(lambda k: jax.random.normal(k, shape[1:]))(example_keys(key, shape[0], axis_name))
