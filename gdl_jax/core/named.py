"""Things chosen on the command line: by a known name, or as `package.module:attribute`."""

import importlib
from collections.abc import Mapping
from typing import Any

from gdl_jax.core.errors import UserError


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
    except ImportError as error:
        raise UserError(f"--{flag}={value}: cannot import {module_name} ({error})") from error
    except AttributeError as error:
        raise UserError(f"--{flag}={value}: module {module_name} has no {attribute!r}") from error
