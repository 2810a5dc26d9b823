"""Things chosen on the command line: by a known name, or as `package.module:attribute`."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import jax

from gdl_jax.core.errors import UserError, first_line


def resolve(flag: str, value: str, known: Mapping[str, Any]) -> Any:
    """The thing that `--flag=value` names.

    Args:
      flag: the flag's name, for the error message.
      value: a key of `known`, or `package.module:attribute`.
      known: the things that have a short name.

    Raises:
      UserError: no such name, module or attribute.
    """
    if value in known:
        return known[value]
    if ":" not in value:
        raise UserError(f"--{flag}={value}: unknown; choose one of {', '.join(known)}, or package.module:name")
    module_name, attribute = value.split(":", 1)
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, ValueError) as error:  # ValueError: nothing before the colon
        raise UserError(f"--{flag}={value}: cannot import {module_name} ({error})") from error
    except AttributeError as error:
        raise UserError(f"--{flag}={value}: module {module_name} has no {attribute!r}") from error


def resolve_function(
    flag: str, value: str, known: Mapping[str, Callable], arguments: tuple[jax.ShapeDtypeStruct, ...], shape: tuple
) -> Callable:
    """The function of arrays that `--flag=value` names, tried once on shapes.

    Args:
      flag, value, known: as for `resolve`.
      arguments: what it will be called with, but for sizes.
      shape: of the array that it must return for them.

    Raises:
      UserError: as `resolve`; or it can't be called so, or returns something else.
    """
    function = resolve(flag, value, known)
    check_function(f"--{flag}={value}", function, arguments, shape)
    return function


def check_function(name: str, function: Callable, arguments: tuple[jax.ShapeDtypeStruct, ...], shape: tuple) -> None:
    """Tries a user's function on shapes, as `resolve_function` does; errors begin with `name`.

    Raises:
      UserError: it can't be called so, or returns something else than an array of `shape`.
    """
    call = f"called with {', '.join(f'{a.dtype}{list(a.shape)}' for a in arguments)} it"
    try:
        returned = jax.eval_shape(function, *arguments)
    except Exception as error:  # it is the user's, and may raise anything
        raise UserError(f"{name}: {call} fails: {first_line(error)}") from error
    if getattr(returned, "shape", None) != shape:
        got = getattr(returned, "shape", type(returned).__name__)
        raise UserError(f"{name}: {call} must return an array of shape {shape}, not {got}")
