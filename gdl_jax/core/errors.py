"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A bad flag, a missing data set, an unreadable file.

    The message is one clear line that names the flag or the file at fault. Scripts print it and exit with code 2.
    """
