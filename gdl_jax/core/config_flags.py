"""Flags made from a frozen dataclass, so that a hyperparameter is written once.

A field `z_dim: Annotated[int, AtLeast(1)] = 2  # dimensions of the latent space (book 03_03)` becomes `--z_dim`: the
comment (or one above the line) is its help, the annotation says which values it may have. What a base class says of a
field holds for the field of a subclass with another default, too.
"""

import dataclasses
import inspect
import io
import math
import tokenize
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from absl import flags

from gdl_jax.core.errors import ConfigError, UserError

T = TypeVar("T")


class Rule:
    """What an annotation says of a field; `check` is called with each number of a tuple."""

    def check(self, value: Any) -> str | None:
        """Returns what is wrong with a value, or None."""
        return None


@dataclass(frozen=True)
class AtLeast(Rule):
    """The smallest value of a number."""

    least: float

    def check(self, value: Any) -> str | None:
        return None if value >= self.least else f"must be at least {self.least}"


@dataclass(frozen=True)
class Above(Rule):
    """What a number must be larger than."""

    limit: float

    def check(self, value: Any) -> str | None:
        if value > self.limit:
            return None
        return "must be positive" if self.limit == 0 else f"must be above {self.limit}"


@dataclass(frozen=True)
class Below(Rule):
    """What a number must be smaller than."""

    limit: float

    def check(self, value: Any) -> str | None:
        return None if value < self.limit else f"must be below {self.limit}"


class OneOf(Rule):
    """The only values that a field may have."""

    def __init__(self, *choices: str):
        self.choices = choices

    def check(self, value: Any) -> str | None:
        return None if value in self.choices else f"unknown; choose one of {', '.join(self.choices)}"


@dataclass(frozen=True)
class Needs(Rule):
    """Another field, `name`, `name=value` or `name=value|value`, without which the field has no effect.

    See `check_effects`.
    """

    condition: str


@dataclass(frozen=True)
class IsPath(Rule):
    """The value is a path, but for some names; flags.json has it absolute.

    Attributes:
      names: values that are no paths.
      moves: whether it may differ when a run resumes, since `DataSet.digest` tells whether the contents are the same.
      kinds: a value KIND:PATH of one of these has its path after the colon.
    """

    names: tuple[str, ...] = ("",)
    moves: bool = False
    kinds: tuple[str, ...] = ()

    def absolute(self, value: str, absolute: typing.Callable[[str], str]) -> str:
        """Returns the value with its path made absolute."""
        kind, _, path = value.partition(":")
        if kind in self.kinds and path:
            return f"{kind}:{absolute(path)}"
        return value if value in self.names else absolute(value)

    def without_path(self, value: str) -> str:
        """Returns what is left to compare where the path may differ."""
        return "" if self.moves else value


class IsPathAfter(Rule):
    """Of values KIND:PATH, what stands after the colon is a path, which may differ when a run resumes."""

    def __init__(self, *kinds: str):
        self.kinds = kinds

    def absolute(self, value: str, absolute: typing.Callable[[str], str]) -> str:
        """Returns the value with its path made absolute."""
        kind, _, path = value.partition(":")
        return f"{kind}:{absolute(path)}" if kind in self.kinds and path else value

    def without_path(self, value: str) -> str:
        """Returns what is left to compare where the path may differ."""
        kind, _, path = value.partition(":")
        return kind if kind in self.kinds and path else value


@dataclass(frozen=True)
class MayChangeOnResume(Rule):
    """A run may go on with another value.

    Attributes:
      unless: name of a field that, where it is set, forbids it.
    """

    unless: str = ""


@dataclass(frozen=True)
class FixesOnResume(Rule):
    """The field, at one of some values, makes that another one may not change when a run resumes.

    Attributes:
      field: name of the other.
      values: of this one.
      unless: name of a field that, where it is set, allows it all the same.
    """

    field: str
    values: tuple[str, ...]
    unless: str = ""


@dataclass(frozen=True)
class Renamed(Rule):
    """What the value `old` of runs made before is called now."""

    old: str
    new: str


@dataclass(frozen=True)
class EvaluationOnly(MayChangeOnResume):
    """Training doesn't depend on it: a run may go on, and a finished one be evaluated, with another value."""


def rules(config: type) -> dict[str, tuple[Rule, ...]]:
    """Returns the rules of each field, those of base classes included: {field name: rules}."""
    found: dict[str, dict[Rule, None]] = {field.name: {} for field in dataclasses.fields(config)}
    for cls in config.__mro__:
        for name, annotation in inspect.get_annotations(cls, eval_str=True).items():
            if name in found and typing.get_origin(annotation) is Annotated:
                found[name] |= {rule: None for rule in annotation.__metadata__ if isinstance(rule, Rule)}
    return {name: tuple(each) for name, each in found.items()}


def check(config: Any) -> None:
    """Checks the values of a config against the rules of its fields.

    Raises:
      ConfigError: one breaks a rule, or is a number that isn't finite.
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
    """Refuses what was changed of a preset though it has no effect, as `Needs` says.

    Raises:
      ConfigError: names the field and what it needs.
    """
    for name, field_rules in rules(type(config)).items():
        for rule in field_rules:
            if not isinstance(rule, Needs) or getattr(config, name) == getattr(preset, name):
                continue
            other, equals, value = rule.condition.partition("=")
            there = str(getattr(config, other)) in value.split("|") if equals else bool(getattr(config, other))
            if not there:
                raise ConfigError(name, getattr(config, name), f"has no effect without {rule.condition}")


def needing(config: type[T], condition: str) -> type[T]:
    """Returns a dataclass with the fields of another, each of which `Needs(condition)`."""
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
    """Returns the comment of each field, for a dataclass and its bases: {field name: text}.

    It stands on the field's line, or on lines of its own above it.
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
    """`X` for `Annotated[X, ...]` and for `X | None`, otherwise the annotation itself."""
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def define(preset: Any, flag_values: flags.FlagValues, only: Iterable[str] | None = None) -> None:
    """Defines one flag for each field of `preset`, whose value its help shows; None where the user gives none.

    Args:
      preset: a config.
      flag_values: gets the flags.
      only: names of the fields; all if None.
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
    """Returns the fields that the user gave a value for, with values of the fields' types.

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
    return values


def from_dict(config: type[T], values: Mapping[str, Any]) -> T:
    """Returns a config made from JSON values (lists become tuples); fields that they lack have their defaults.

    Raises:
      UserError: a field that the config doesn't have, or a value that it can't have.
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
    """Returns one text `name was X, is now Y` for each value that differs, JSON's lists and tuples being alike."""

    def plain(value):
        return list(value) if isinstance(value, tuple) else value

    names = sorted((set(before) | set(after)) - set(ignore))
    return [
        f"{name} was {before.get(name)}, is now {after.get(name)}"
        for name in names
        if plain(before.get(name)) != plain(after.get(name))
    ]
