"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A bad flag, a missing data set, an unreadable file.

    The message is one clear line that names the flag or the file at fault. Scripts print it and exit with code 2.
    """


def first_line(error: Exception) -> str:
    """The first line of what an exception says; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
