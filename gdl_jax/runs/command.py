"""Command lines: flags parsed and errors shown the same way by every script."""

import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from absl import flags, logging

from gdl_jax.core.errors import UserError
from gdl_jax.core.loop import Stop

INTERRUPTED = 130  # exit code of a program that Ctrl-C ended, as shells have it


def new_flags() -> flags.FlagValues:
    """An empty set of flags, with --help."""
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "show this help", short_name="h", flag_values=values)
    return values


def _help_text(about: str, values: flags.FlagValues) -> str:
    lines = [about.strip(), "", "Flags:"]
    for name in values:
        flag = values[name]
        if name != flag.name:
            continue  # a short name
        default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
        shown = f"{flag.help} [{default}]" if default else flag.help
        lines += textwrap.wrap(shown, 118, initial_indent=f"  --{name:<22} ", subsequent_indent=" " * 27)
    return "\n".join(lines)


def workdir(values: flags.FlagValues) -> Path:
    """The run that --workdir names.

    Raises:
      UserError: it isn't given.
    """
    if not values.workdir:
        raise UserError("--workdir: which run? (for example --workdir=runs/vae-digits)")
    return Path(values.workdir)


def warn(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(text + "\n")


def _report_unraisable(report: Callable, unraisable: "sys.UnraisableHookArgs") -> None:
    """Reports what could not be raised, but for one error that is none.

    When one of a checkpoint's arrays can't be written or read, orbax raises at once and closes its event loop;
    TensorStore's threads then find it closed as they finish the other arrays. The one line about the checkpoint says
    what there is to say.
    """
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        report(unraisable)


class Stopped(BaseException):
    """A program was asked to stop, and has: `run` says so and ends with exit code 0."""


def leave_if_asked(stop: Stop) -> None:
    """Stops where nothing that is to be kept would be lost.

    Raises:
      Stopped: SIGTERM or Ctrl-C came.
    """
    if stop.asked:
        raise Stopped


def _stopped(number, frame):
    raise Stopped


@contextmanager
def _stopping_at_sigterm() -> Iterator[None]:
    """SIGTERM (preemption) raises Stopped anywhere that no `Stop` waits for a better moment."""
    before = signal.signal(signal.SIGTERM, _stopped)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(main: Callable[[flags.FlagValues], None], about: str, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Parses `argv` into `values` and calls `main` with them.

    What the user can mend is one line on standard error and exit code 2. SIGTERM is one line and exit code 0, Ctrl-C
    one and 130, where no `Stop` handles them.
    """
    logging.set_verbosity(logging.FATAL)  # libraries log their errors, traceback and all, before they raise them
    if getattr(sys.unraisablehook, "func", None) is not _report_unraisable:
        sys.unraisablehook = partial(_report_unraisable, sys.unraisablehook)
    try:
        rest = values(list(argv))[1:]
        if values.help:
            sys.stdout.write(_help_text(about, values) + "\n")
            return
        if rest:
            raise UserError(f"{rest[0]!r} is not a flag; flags look like --name=value")
        with _stopping_at_sigterm():
            main(values)
    except Stopped:
        sys.stderr.write("stopped; the same command goes on\n")
        sys.exit(0)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    except (UserError, flags.Error) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
