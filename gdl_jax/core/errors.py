"""Exceptions for problems that the user can fix. Scripts print one line for them and exit with code 2."""

from typing import Any


class UserError(Exception):
    """Missing data set, unreadable file or invalid value; the message is one line that names it."""


class ConfigError(UserError):
    """Invalid value of a hyperparameter; `runs.command` shows it as `--field=value: reason`.

    Attributes:
      field: name of the config's field.
      value: the field's value; None if the problem is not a single value.
      reason: the problem.
    """

    def __init__(self, field: str, value: Any, reason: str):
        self.field, self.value, self.reason = field, value, reason
        super().__init__(f"{self.assignment}: {reason}")

    @property
    def assignment(self) -> str:
        """`field=value`, a tuple's values separated by commas; `field` alone if there is no value."""
        if self.value is None:
            return self.field
        shown = ",".join(map(str, self.value)) if isinstance(self.value, list | tuple) else self.value
        return f"{self.field}={shown}"


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
