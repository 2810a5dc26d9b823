"""Flags made from a frozen dataclass, so that a hyperparameter is written once.

A field `z_dim: int = 2  # size of the latent space (book 03_03)` becomes `--z_dim`; the comment becomes its help.
"""

import dataclasses
import inspect
import io
import tokenize
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from gdl_jax.core.errors import UserError


def comments(config: type) -> dict[str, str]:
    """The comment on each field's line, for a dataclass and its bases: {field name: text}."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        lines: dict[int, str] = {}
        source = inspect.getsource(cls)
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                lines[token.start[0]] = token.string.lstrip("# ")
        for number, line in enumerate(source.splitlines(), start=1):
            name, colon, _ = line.strip().partition(":")
            if colon and name in inspect.get_annotations(cls) and number in lines:
                found[name] = lines[number]
    return found


def _value_type(annotation: Any) -> Any:
    """`X` for `X | None`, otherwise the annotation itself."""
    if isinstance(annotation, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def define(preset: Any, flag_values: flags.FlagValues) -> None:
    """Defines one flag for each field of `preset`, whose value its help shows; None where the user gives none."""
    config = type(preset)
    types_of = typing.get_type_hints(config)
    help_of = comments(config)
    for field in dataclasses.fields(config):
        kind = _value_type(types_of[field.name])
        text = help_of.get(field.name, "")
        default = getattr(preset, field.name)
        if kind is not bool:
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
            text = text if shown == "" else f"{text} [{shown}]"
        if kind is bool:
            flags.DEFINE_bool(field.name, None, f"{text} [{default}]", flag_values=flag_values)
        elif kind is int:
            flags.DEFINE_integer(field.name, None, text, flag_values=flag_values)
        elif kind is float:
            flags.DEFINE_float(field.name, None, text, flag_values=flag_values)
        elif kind is str:
            flags.DEFINE_string(field.name, None, text, flag_values=flag_values)
        elif typing.get_origin(kind) is tuple:
            flags.DEFINE_list(field.name, None, f"{text}, comma-separated", flag_values=flag_values)
        else:
            raise TypeError(f"{config.__name__}.{field.name}: no flag for type {kind}")


def chosen(config: type, flag_values: flags.FlagValues) -> dict[str, Any]:
    """The fields that the user gave a value for, with values of the fields' types.

    Raises:
      UserError: an element of a list flag is not of the field's type.
    """
    types_of = typing.get_type_hints(config)
    values = {}
    for field in dataclasses.fields(config):
        value = flag_values[field.name].value
        if value is None:
            continue
        kind = _value_type(types_of[field.name])
        if typing.get_origin(kind) is tuple:
            element = typing.get_args(kind)[0]
            try:
                value = tuple(element(v) for v in value)
            except ValueError as error:
                raise UserError(f"--{field.name}={','.join(value)}: {error}") from error
        values[field.name] = value
    return values


def from_dict(config: type, values: Mapping[str, Any]) -> Any:
    """A config from JSON values (lists become tuples).

    Raises:
      UserError: a field that the config doesn't have.
    """
    known = {field.name for field in dataclasses.fields(config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"flags.json: {config.__module__} has no hyperparameter {unknown[0]!r}")
    return config(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def changed(before: Mapping[str, Any], after: Mapping[str, Any], ignore: Iterable[str]) -> list[str]:
    """One text `--name was X, is now Y` for each value that differs, JSON's lists and tuples being alike."""

    def plain(value):
        return list(value) if isinstance(value, tuple) else value

    names = sorted((set(before) | set(after)) - set(ignore))
    return [
        f"--{name} was {before.get(name)}, is now {after.get(name)}"
        for name in names
        if plain(before.get(name)) != plain(after.get(name))
    ]
