"""Command lines: flags parsed and errors shown the same way by every script. Errors name a config's field as a flag."""

import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags, logging

from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.loop import Stop
from gdl_jax.runs import interrupts
from gdl_jax.runs.experiment import Experiment
from gdl_jax.runs.interrupts import INTERRUPTED
from gdl_jax.runs.records import find_experiment, read_flags


def new_flags() -> flags.FlagValues:
    """Returns an empty set of flags, with --help and --verbosity."""
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "show this help", short_name="h", flag_values=values)
    levels = ["fatal", "error", "warning", "info", "debug"]
    about = "what libraries may log: messages of this level and of graver ones"
    flags.DEFINE_enum("verbosity", "warning", levels, about, flag_values=values)
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
    """Returns the run that --workdir names.

    Raises:
      ConfigError: it isn't given.
    """
    if not values.workdir:
        raise ConfigError("workdir", None, "which run? (for example --workdir=runs/vae-digits)")
    return Path(values.workdir)


def warn(text: str) -> None:
    """Writes a line on standard error."""
    sys.stderr.write(text + "\n")


class NamedRun(NamedTuple):
    """The experiment and the config of a run, without its data and its state."""

    experiment: Experiment
    config: Any


def given(argv: Sequence[str], name: str) -> str | None:
    """Returns the value of one flag before all are defined; None where it isn't given, or not as it should be."""
    flag = flags.FlagValues()
    flags.DEFINE_string(name, None, "", flag_values=flag)
    try:
        flag(list(argv), known_only=True)
    except flags.Error:
        return None
    return flag[name].value


def experiment_of_workdir(argv: Sequence[str]) -> NamedRun | None:
    """Returns what the folder named by --workdir=DIR is a run of, so that its own flags can be defined.

    None where no folder is named or none can be read: the program will say so when it reads it.
    """
    folder = given(argv, "workdir")
    if not folder:
        return None
    try:
        saved = read_flags(Path(folder) / "flags.json")
        experiment = find_experiment(saved, Path(folder))
        return NamedRun(experiment, config_flags.from_dict(experiment.config, saved["flags"]))
    except UserError:
        return None


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
def _heeding_signals() -> Iterator[None]:
    """SIGTERM (preemption) raises Stopped, Ctrl-C KeyboardInterrupt, where no `Stop` waits for a better moment."""
    before = signal.signal(signal.SIGTERM, _stopped)
    interrupts.heed()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def shown(error: Exception) -> str:
    """Returns what a user can mend as one line; the field of a config at fault as its flag."""
    text = f"--{error}" if isinstance(error, ConfigError) else str(error)
    return f"error: {' '.join(text.split())}\n"


def run(main: Callable[[flags.FlagValues], None], about: str, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Parses `argv` into `values` and calls `main` with them.

    What the user can mend is one line on standard error and exit code 2. SIGTERM is one line and exit code 0, Ctrl-C
    one and 130, where no `Stop` handles them.
    """
    try:
        with _heeding_signals():
            rest = values(list(argv))[1:]
            if values.help:
                sys.stdout.write(_help_text(about, values) + "\n")
                return
            if rest:
                raise UserError(f"{rest[0]!r} is not a flag; flags look like --name=value")
            logging.use_absl_handler()
            logging.set_verbosity(values.verbosity)
            main(values)
    except Stopped:
        sys.stderr.write("stopped; the same command goes on\n")
        sys.exit(0)
    except KeyboardInterrupt:
        sys.stderr.write(interrupts.MESSAGE)
        sys.exit(INTERRUPTED)
    except (UserError, flags.Error) as error:
        sys.stderr.write(shown(error))
        sys.exit(2)
