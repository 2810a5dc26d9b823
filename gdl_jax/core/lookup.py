"""Things chosen on the command line: by a known name, or as `package.module:attribute`."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gdl_jax.core.errors import UserError, first_line

BATCH_SIZES = (2, 3)  # that a user's function is tried with


def resolve(flag: str, value: str, known: Mapping[str, Any]) -> Any:
    """The thing that `--flag=value` names.

    Args:
      flag: the flag's name, for the error message.
      value: a key of `known`, or `package.module:attribute`.
      known: the things that have a short name.

    Raises:
      UserError: no such name, module or attribute, or the module can't be imported.
    """
    if value in known:
        return known[value]
    if ":" not in value:
        raise UserError(f"--{flag}={value}: unknown; choose one of {', '.join(known)}, or package.module:name")
    module_name, attribute = value.split(":", 1)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # it is the user's, and may raise anything
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"--{flag}={value}: cannot import {module_name} ({reason})") from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise UserError(f"--{flag}={value}: module {module_name} has no {attribute!r}") from error


def resolve_function(
    flag: str, value: str, known: Mapping[str, Callable], arguments: tuple[jax.ShapeDtypeStruct, ...], shape: tuple
) -> Callable:
    """The function of arrays that `--flag=value` names, tried on shapes.

    Args:
      flag, value, known: as for `resolve`.
      arguments: what it will be called with, but for sizes; the first axis of each is the batch.
      shape: of the floating-point array that it must return for them.

    Raises:
      UserError: as `resolve` and `check_function`.
    """
    function = resolve(flag, value, known)
    check_function(f"--{flag}={value}", function, arguments, shape)
    return function


def check_function(name: str, function: Callable, arguments: tuple[jax.ShapeDtypeStruct, ...], shape: tuple) -> None:
    """Tries a user's function on shapes of several batch sizes, as `resolve_function` does; errors begin with `name`.

    Raises:
      UserError: it can't be called so, or returns something else than a floating-point array of `shape`.
    """
    for size in BATCH_SIZES:
        batches = [jax.ShapeDtypeStruct((size, *a.shape[1:]), a.dtype) for a in arguments]
        call = f"called with {', '.join(f'{a.dtype}{list(a.shape)}' for a in batches)} it"
        try:
            returned = jax.eval_shape(function, *batches)
        except Exception as error:  # it is the user's, and may raise anything
            raise UserError(f"{name}: {call} fails: {first_line(error)}") from error
        got = getattr(returned, "shape", type(returned).__name__)
        if got != (size, *shape[1:]):
            raise UserError(f"{name}: {call} must return an array of shape {(size, *shape[1:])}, not {got}")
        if not jnp.issubdtype(returned.dtype, jnp.floating):
            raise UserError(f"{name}: {call} must return floating-point numbers, not {returned.dtype}")
