"""Flags generated from a frozen dataclass, so that each hyperparameter is declared once.

A field `z_dim: Annotated[int, AtLeast(1)] = 2  # dimensions of the latent space (book 03_03)` becomes `--z_dim`: the
comment (or one above the line) is its help, the annotation restricts its values. Rules of a base class also apply to
a subclass that only overrides the default.
"""

import dataclasses
import inspect
import io
import math
import tokenize
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from absl import flags

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.paths import expand_user

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class Rule:
    """Base class of rules in a field's annotation; `check` is called with each element of a tuple."""

    def check(self, value: Any) -> str | None:
        """Returns the reason why a value is invalid, or None."""
        return None


@dataclass(frozen=True)
class AtLeast(Rule):
    """Lower bound of a number, inclusive."""

    least: float

    def check(self, value: Any) -> str | None:
        return None if value >= self.least else f"must be at least {self.least}"


@dataclass(frozen=True)
class Above(Rule):
    """Lower bound of a number, exclusive."""

    limit: float

    def check(self, value: Any) -> str | None:
        if value > self.limit:
            return None
        return "must be positive" if self.limit == 0 else f"must be above {self.limit}"


@dataclass(frozen=True)
class Below(Rule):
    """Upper bound of a number, exclusive."""

    limit: float

    def check(self, value: Any) -> str | None:
        return None if value < self.limit else f"must be below {self.limit}"


class OneOf(Rule):
    """Set of a field's valid values."""

    def __init__(self, *choices: str):
        self.choices = choices

    def check(self, value: Any) -> str | None:
        return None if value in self.choices else f"unknown; choose one of {', '.join(self.choices)}"


@dataclass(frozen=True)
class Needs(Rule):
    """Condition `name`, `name=value` or `name=value|value` on another field, without which this one has no effect.

    See `check_effects`.
    """

    condition: str


@dataclass(frozen=True)
class IsPath(Rule):
    """Rule that a value is a path; flags.json stores it as an absolute path.

    Attributes:
      names: values that are not paths.
      moves: True if the path may change on resume, because `DataSet.digest` identifies the contents.
      kinds: kinds of data whose values are KIND:PATH, with the path after the colon.
    """

    names: tuple[str, ...] = ("",)
    moves: bool = False
    kinds: tuple[str, ...] = ()

    def map_path(self, value: str, function: Callable[[str], str]) -> str:
        """Returns the value with `function` applied to its path."""
        kind, _, path = value.partition(":")
        if kind in self.kinds and path:
            return f"{kind}:{function(path)}"
        return value if value in self.names else function(value)

    def without_path(self, value: str) -> str:
        """Returns the part of the value that must not change on resume."""
        return "" if self.moves else value


class IsPathAfter(Rule):
    """Rule that values are KIND:PATH, whose path may change on resume; with `or_number` KIND:NUMBER has no path."""

    def __init__(self, *kinds: str, or_number: bool = False):
        self.kinds, self.or_number = kinds, or_number

    def _has_path(self, kind: str, path: str) -> bool:
        return kind in self.kinds and bool(path) and not (self.or_number and path.isdecimal())

    def map_path(self, value: str, function: Callable[[str], str]) -> str:
        """Returns the value with `function` applied to its path."""
        kind, _, path = value.partition(":")
        return f"{kind}:{function(path)}" if self._has_path(kind, path) else value

    def without_path(self, value: str) -> str:
        """Returns the part of the value that must not change on resume."""
        kind, _, path = value.partition(":")
        return kind if self._has_path(kind, path) else value


@dataclass(frozen=True)
class MayChangeOnResume(Rule):
    """Rule that a run may resume with another value.

    Attributes:
      unless: name of a field that forbids it if it is set.
    """

    unless: str = ""


@dataclass(frozen=True)
class FixesOnResume(Rule):
    """Rule that another field may not change on resume while this one has one of some values.

    Attributes:
      field: name of the other field.
      values: the values of this field.
      unless: name of a field that allows the change if it is set.
    """

    field: str
    values: tuple[str, ...]
    unless: str = ""


@dataclass(frozen=True)
class Renamed(Rule):
    """Rule that the value `old`, found in older runs, is now called `new`."""

    old: str
    new: str


@dataclass(frozen=True)
class EvaluationOnly(MayChangeOnResume):
    """Rule that training does not use the field: a run may be resumed or evaluated with another value."""


def rules(config: type) -> dict[str, tuple[Rule, ...]]:
    """Returns the rules of each field, including those of base classes: {field name: rules}."""
    found: dict[str, dict[Rule, None]] = {field.name: {} for field in dataclasses.fields(config)}
    for cls in config.__mro__:
        for name, annotation in inspect.get_annotations(cls, eval_str=True).items():
            if name in found and typing.get_origin(annotation) is Annotated:
                found[name] |= {rule: None for rule in annotation.__metadata__ if isinstance(rule, Rule)}
    return {name: tuple(each) for name, each in found.items()}


def check(config: Any) -> None:
    """Checks the values of a config against the rules of its fields.

    Raises:
      ConfigError: a value breaks a rule, or is a number that is not finite.
    """
    for name, field_rules in rules(type(config)).items():
        value = getattr(config, name)
        for one in value if isinstance(value, tuple) else () if value is None else (value,):
            for rule in field_rules:
                if reason := rule.check(one):
                    raise ConfigError(name, value, reason)
            if isinstance(one, float) and not math.isfinite(one):
                raise ConfigError(name, value, "must be finite")


def check_effects(config: Any, preset: Any) -> None:
    """Refuses values that differ from the preset's but have no effect, according to `Needs`.

    Raises:
      ConfigError: names the field and what it needs.
    """
    for name, field_rules in rules(type(config)).items():
        for rule in field_rules:
            if not isinstance(rule, Needs) or getattr(config, name) == getattr(preset, name):
                continue
            other, equals, value = rule.condition.partition("=")
            is_met = str(getattr(config, other)) in value.split("|") if equals else bool(getattr(config, other))
            if not is_met:
                raise ConfigError(name, getattr(config, name), f"has no effect without {rule.condition}")


def needing(config: type[T], condition: str) -> type[T]:
    """Returns a subclass of a dataclass with the same fields, each of which `Needs(condition)`."""
    fields = [
        (
            field.name,
            Annotated[_plain(inspect.get_annotations(cls, eval_str=True)[field.name]), Needs(condition)],
            field.default,
        )
        for field in dataclasses.fields(config)
        for cls in [next(c for c in config.__mro__ if field.name in inspect.get_annotations(c))]
    ]
    return dataclasses.make_dataclass(config.__name__, fields, bases=(config,), frozen=True, kw_only=True)


def comments(config: type) -> dict[str, str]:
    """Returns the comments on the fields of a dataclass and its bases: {field name: text}.

    A comment is at the end of the field's line, or on the lines above it.
    """
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        try:
            source = inspect.getsource(cls)
        except (OSError, TypeError):
            continue  # made by `needing`
        lines = source.splitlines()
        texts = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
        for number, line in enumerate(lines, start=1):
            name, colon, _ = line.strip().partition(":")
            if not colon or name not in inspect.get_annotations(cls):
                continue
            first = number
            while first - 1 in texts and lines[first - 2].lstrip().startswith("#"):
                first -= 1
            if text := texts.get(number) or " ".join(texts[above] for above in range(first, number)):
                found[name] = text
    return found


def _plain(annotation: Any) -> Any:
    """Returns X for `Annotated[X, ...]` and for `X | None`, otherwise the annotation itself."""
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def define(preset: Any, flag_values: flags.FlagValues, only: Iterable[str] | None = None) -> None:
    """Defines one flag per field of a config; flags that the user does not set are None.

    Args:
      preset: the config; the help shows its values as defaults.
      flag_values: receives the flags.
      only: names of the fields; None: all.
    """
    config = type(preset)
    types_of = typing.get_type_hints(config)
    help_of = comments(config)
    wanted = None if only is None else set(only)
    for field in dataclasses.fields(config):
        if wanted is not None and field.name not in wanted:
            continue
        kind = _plain(types_of[field.name])
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
    """Returns {field name: value} for the flags that the user set, with values of the fields' types.

    Raises:
      ConfigError: an element of a list flag is not of the field's type.
    """
    types_of = typing.get_type_hints(config)
    values = {}
    for field in dataclasses.fields(config):
        if field.name not in flag_values or (value := flag_values[field.name].value) is None:
            continue
        kind = _plain(types_of[field.name])
        if typing.get_origin(kind) is tuple:
            element = typing.get_args(kind)[0]
            try:
                value = tuple(element(v) for v in value)
            except ValueError as error:
                raise ConfigError(field.name, value, str(error)) from error
        values[field.name] = value
    return with_paths(config, values, expand_user)


def path_rules(config: type) -> dict[str, IsPath | IsPathAfter]:
    """Returns the rules of the fields whose values are or contain paths: {field name: rule}."""
    return {
        name: rule
        for name, field_rules in rules(config).items()
        for rule in field_rules
        if isinstance(rule, IsPath | IsPathAfter)
    }


def movable_paths(config: type) -> list[str]:
    """Returns the names of the fields whose paths may change on resume: the locations of the data."""
    free = {name for name, each in rules(config).items() if any(type(rule) is MayChangeOnResume for rule in each)}
    paths = path_rules(config)
    moves = {name for name, rule in paths.items() if isinstance(rule, IsPathAfter) or rule.moves}
    return [name for name in paths if name in free | moves]


def with_paths(config: type, values: Mapping[str, Any], function: Callable[[str], str]) -> dict[str, Any]:
    """Returns {field name: value} with `function` applied to each path in the values.

    Raises:
      ConfigError: `function` raised a UserError; names the field.
    """
    changed = dict(values)
    for name, rule in path_rules(config).items():
        value = values.get(name)
        try:
            if isinstance(value, tuple):
                changed[name] = tuple(rule.map_path(one, function) for one in value)
            elif value is not None:
                changed[name] = rule.map_path(value, function)
        except UserError as error:
            raise ConfigError(name, None, str(error)) from error
    return changed


def from_dict(config: type[T], values: Mapping[str, Any]) -> T:
    """Returns a config made from JSON values; lists become tuples, missing fields get their defaults.

    Raises:
      UserError: the config has no such field, or a value is invalid.
    """
    known = {field.name for field in dataclasses.fields(config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"flags.json: {config.__module__} has no hyperparameter {unknown[0]!r}")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    types_of = typing.get_type_hints(config)
    for name, value in given.items():
        kind = _plain(types_of[name])
        expected = (kind, int) if kind is float else kind
        if value is not None and kind in (bool, int, float, str) and not isinstance(value, expected):
            raise UserError(f"flags.json: {name}={value!r}: must be of type {kind.__name__}")
    for name, field_rules in rules(config).items():
        for rule in field_rules:
            if isinstance(rule, Renamed) and given.get(name) == rule.old:
                given[name] = rule.new
    return config(**given)


def changed(before: Mapping[str, Any], after: Mapping[str, Any], ignore: Iterable[str] = ()) -> list[str]:
    """Returns one text `name was X, is now Y` per value that differs; JSON's lists are equal to tuples."""

    def plain(value):
        return list(value) if isinstance(value, tuple) else value

    names = sorted((set(before) | set(after)) - set(ignore))
    return [
        f"{name} was {before.get(name)}, is now {after.get(name)}"
        for name in names
        if plain(before.get(name)) != plain(after.get(name))
    ]
