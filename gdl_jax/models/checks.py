"""Checks of hyperparameters that several models have."""

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
        raise ConfigError(field, values, "needs one or more numbers, each at least 1")
    return values


def convolutions(config: Any, prefix: str = "") -> Iterator[tuple[int, int, int]]:
    """Returns (channels, kernel size, stride) of each layer of a convolutional stack.

    Args:
      config: has fields {prefix}filters, {prefix}kernel_sizes and {prefix}strides.
      prefix: "encoder_", "decoder_" or nothing.

    Raises:
      ConfigError: the three are not of one length, or hold a number below 1.
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
    """Returns the elementwise function that {prefix}activation names.

    Raises:
      UserError: there is none of that name, or it is not such a function.
    """
    field, x = f"{prefix}activation", jax.ShapeDtypeStruct((2, 3), jnp.float32)
    return resolve_function(field, getattr(config, field), known, (x,), (2, 3))
