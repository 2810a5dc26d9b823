"""Lookup of objects that a hyperparameter names, by a known name or as `package.module:attribute`."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gdl_jax.core.errors import ConfigError, first_line

BATCH_SIZES = (2, 3)  # with which a user's function is checked


def resolve(field: str, value: str, known: Mapping[str, Any]) -> Any:
    """Returns the object that a field's value names.

    Args:
      field: the field's name, for the error message.
      value: a key of `known`, or `package.module:attribute`.
      known: objects with a short name.

    Raises:
      ConfigError: there is no such name, module or attribute, or the module can't be imported.
    """
    if value in known:
        return known[value]
    if ":" not in value:
        raise ConfigError(field, value, f"unknown; choose one of {', '.join(known)}, or package.module:name")
    module_name, attribute = value.split(":", 1)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # user code may raise anything
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ConfigError(field, value, f"cannot import {module_name} ({reason})") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ConfigError(field, value, f"module {module_name} has no {attribute!r}") from error


def resolve_function(
    field: str, value: str, known: Mapping[str, Callable], arguments: tuple[jax.ShapeDtypeStruct, ...], shape: tuple
) -> Callable:
    """Returns the function of arrays that a field's value names, checked by abstract evaluation.

    Args:
      field, value, known: same as for `resolve`.
      arguments: shapes and dtypes of its arguments; the first axis of each is the batch, whose size may vary.
      shape: shape of the floating-point array that it must return.

    Raises:
      ConfigError: same as for `resolve` and `check_function`.
    """
    function = resolve(field, value, known)
    check_function(field, value, function, arguments, shape)
    return function


def check_function(
    field: str,
    value: str,
    function: Callable,
    arguments: tuple[jax.ShapeDtypeStruct, ...],
    shape: tuple,
    part: str = "",
) -> None:
    """Checks a user's function by abstract evaluation with several batch sizes.

    Args:
      field, value: field that named the function and its value, for the error message.
      function: the function.
      arguments, shape: same as for `resolve_function`.
      part: name of the function within the named object, if it is a part of one; the reason starts with it.

    Raises:
      ConfigError: the call fails, or returns something other than a floating-point array of `shape`.
    """
    prefix = f"{part}: " if part else ""
    for size in BATCH_SIZES:
        batches = [jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype) for a in arguments]
        call = f"{prefix}called with {', '.join(f'{a.dtype}{list(a.shape)}' for a in batches)}, it"
        try:
            returned = jax.eval_shape(function, *batches)
        except Exception as error:  # user code may raise anything
            raise ConfigError(field, value, f"{call} fails: {first_line(error)}") from error
        got = getattr(returned, "shape", type(returned).__name__)
        if got != (size, *shape[1:]):
            raise ConfigError(field, value, f"{call} must return an array of shape {(size, *shape[1:])}, not {got}")
        if not jnp.issubdtype(returned.dtype, jnp.floating):
            raise ConfigError(field, value, f"{call} must return floating-point numbers, not {returned.dtype}")
