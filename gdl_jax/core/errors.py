"""The exceptions that mean: the user can mend this. Scripts print one line for them and exit with code 2."""

from typing import Any


class UserError(Exception):
    """A missing data set, an unreadable file, a value that can't be; the message is one line that names it."""


class ConfigError(UserError):
    """A hyperparameter has a value that can't be; `runs.command` shows it as `--field=value: reason`.

    Attributes:
      field: name of the config's field.
      value: what it was set to; None where it isn't one value that is at fault.
      reason: what is wrong with it.
    """

    def __init__(self, field: str, value: Any, reason: str):
        self.field, self.value, self.reason = field, value, reason
        super().__init__(f"{self.assignment}: {reason}")

    @property
    def assignment(self) -> str:
        """`field=value`, a tuple's values separated by commas; `field` alone where there is no value."""
        if self.value is None:
            return self.field
        shown = ",".join(map(str, self.value)) if isinstance(self.value, list | tuple) else self.value
        return f"{self.field}={shown}"


def first_line(error: Exception) -> str:
    """Returns the first line of an exception's message; its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
