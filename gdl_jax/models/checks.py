"""Checks of hyperparameters shared by several models."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.lookup import resolve_function
from gdl_jax.nn.layers import ACTIVATIONS


def _positive(config: Any, field: str) -> tuple[int, ...]:
    values = getattr(config, field)
    if not values or min(values) < 1:
        raise ConfigError(field, values, "must have at least one number, each at least 1")
    return values


def convolutions(config: Any, prefix: str = "") -> Iterator[tuple[int, int, int]]:
    """Returns (channels, kernel size, stride) of each layer of a convolutional stack.

    Args:
      config: has fields {prefix}filters, {prefix}kernel_sizes and {prefix}strides.
      prefix: such as "encoder_", or "".

    Raises:
      ConfigError: the three differ in length, or hold a number below 1.
    """
    filters, sizes, strides = (_positive(config, prefix + name) for name in ("filters", "kernel_sizes", "strides"))
    for name, values in (("kernel_sizes", sizes), ("strides", strides)):
        if len(values) != len(filters):
            reason = f"must have as many numbers as {prefix}filters, {len(filters)}"
            raise ConfigError(f"{prefix}{name}", values, reason)
    return zip(filters, sizes, strides, strict=True)


def dropout_rate(config: Any, prefix: str = "") -> float:
    """Returns the config's {prefix}dropout_rate.

    Raises:
      ConfigError: it is not in [0, 1).
    """
    field = f"{prefix}dropout_rate"
    rate = getattr(config, field)
    if not 0 <= rate < 1:
        raise ConfigError(field, rate, "must be at least 0 and below 1")
    return rate


def activation(
    config: Any, prefix: str = "", known: Mapping[str, Callable] = ACTIVATIONS
) -> Callable[[jax.Array], jax.Array]:
    """Returns the elementwise function named by the config's {prefix}activation.

    Raises:
      UserError: no function has that name, or it is not elementwise.
    """
    field, x = f"{prefix}activation", jax.ShapeDtypeStruct((2, 3), jnp.float32)
    return resolve_function(field, getattr(config, field), known, (x,), (2, 3))
