"""Command lines: every script parses flags and shows errors in the same way. Errors name a config's field as a flag."""

import errno
import io
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags, logging

from gdl_jax.core import config_flags
from gdl_jax.core.config_flags import IsPath
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.loop import Stop
from gdl_jax.core.paths import expand_user
from gdl_jax.core.signals import in_main_thread, termination_signals
from gdl_jax.runs import flagfiles, interrupts
from gdl_jax.runs.experiment import Experiment
from gdl_jax.runs.interrupts import INTERRUPTED
from gdl_jax.runs.records import find_experiment, read_flags

# Errors of the user's files: permissions, a read-only or full disk, a name that is too long.
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG)


def new_flags() -> flags.FlagValues:
    """Returns a new set of flags, with --help and --verbosity."""
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "show this help", short_name="h", flag_values=values)
    levels = ["fatal", "error", "warning", "info", "debug"]
    about = "lowest severity of the library messages to log"
    flags.DEFINE_enum("verbosity", "warning", levels, about, flag_values=values)
    return values


class _PathParser(flags.ArgumentParser):
    """Parser of a flag's path; it expands a leading `~` or `~user`."""

    syntactic_help = "a path"

    def __init__(self, name: str):
        self.name = name

    def parse(self, argument: str) -> str:
        return expand_user(argument, self.name)


def define_path(name: str, default: str | None, about: str, values: flags.FlagValues) -> None:
    """Defines a flag whose value is a path. It expands `~`, which shells leave alone in --flag=~/x."""
    flags.DEFINE(_PathParser(name), name, default, about, flag_values=values)


def _help_text(about: str, values: flags.FlagValues) -> str:
    lines = [(about or "").strip(), "", "Flags:"]
    for name in values:
        flag = values[name]
        if name != flag.name:
            continue  # a short name
        default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
        text = f"{flag.help} [{default}]" if default else flag.help
        lines += textwrap.wrap(text, 118, initial_indent=f"  --{name:<22} ", subsequent_indent=" " * 27)
    return "\n".join(lines)


def workdir(values: flags.FlagValues) -> Path:
    """Returns the folder that --workdir names.

    Raises:
      ConfigError: the flag is missing.
    """
    if not values.workdir:
        raise ConfigError("workdir", None, "is required (for example --workdir=runs/vae-digits)")
    return Path(values.workdir)


def warn(text: str) -> None:
    """Writes a line to standard error."""
    sys.stderr.write(text + "\n")


class NamedRun(NamedTuple):
    """Experiment and config of a run, without its data and state."""

    experiment: Experiment
    config: Any


def peek_flag(argv: Sequence[str], name: str) -> str | None:
    """Returns the value of one flag before the others are defined; None if it is missing or invalid."""
    flag = flags.FlagValues()
    flags.DEFINE_string(name, None, "", flag_values=flag)
    try:
        flag(flagfiles.expand(argv), known_only=True)
    except (flags.Error, UserError):
        return None
    return flag[name].value


def experiment_of_workdir(argv: Sequence[str]) -> NamedRun | None:
    """Returns experiment and config of the run in --workdir=DIR, so that its own flags can be defined.

    None if the flag is missing or the run can't be read; the program reports this when it reads the run.
    """
    text = peek_flag(argv, "workdir")
    if not text:
        return None
    try:
        folder = Path(expand_user(text))
        saved = read_flags(folder / "flags.json")
        experiment = find_experiment(saved, folder)
        return NamedRun(experiment, config_flags.from_dict(experiment.config, saved["flags"]))
    except (UserError, ValueError):
        return None


def define_moved(found: NamedRun, values: flags.FlagValues) -> None:
    """Defines flags for the paths of a run's data, which may have been moved."""
    names = [name for name in config_flags.movable_paths(found.experiment.config) if name not in values]
    config_flags.define(found.config, values, only=names)


def moved(found: NamedRun | None, values: flags.FlagValues) -> dict[str, str]:
    """Returns {field: path} for the flags of `define_moved` that the user set.

    Raises:
      ConfigError: a data set of another kind than the run's.
    """
    if found is None:
        return {}
    rules = config_flags.path_rules(found.experiment.config)
    names = config_flags.movable_paths(found.experiment.config)
    paths = {n: v for n, v in config_flags.chosen(found.experiment.config, values).items() if n in names}
    for name, value in paths.items():
        was = getattr(found.config, name)
        if not isinstance(rules[name], IsPath) and rules[name].without_path(value) != rules[name].without_path(was):
            raise ConfigError(name, value, f"the run was trained on {was}; only its path may change")
    return paths


class Stopped(BaseException):
    """Raised when a program stops on request; `run` reports it and exits with code 0."""


def stop_if_requested(stop: Stop) -> None:
    """Stops the program at a point where no work is lost.

    Raises:
      Stopped: SIGTERM or Ctrl-C was received.
    """
    if stop.requested:
        raise Stopped


def _raise_stopped(number, frame):
    raise Stopped


@contextmanager
def _signal_handlers() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP raise Stopped and Ctrl-C raise KeyboardInterrupt, unless a `Stop` handles them."""
    if not in_main_thread():
        yield
        return
    before = {number: signal.signal(number, _raise_stopped) for number in termination_signals()}
    interrupts.raise_on_ctrl_c()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_streams() -> None:
    """Opens standard streams that are closed, and makes the others escape characters that they can't encode."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence_broken_pipes() -> None:
    """Sends what is written to a standard stream whose reader has gone to nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def error_line(error: Exception) -> str:
    """Returns an error as one line; a ConfigError names its field as a flag."""
    text = f"--{error}" if isinstance(error, ConfigError) else str(error)
    return f"error: {' '.join(text.split())}\n"


def run(main: Callable[[flags.FlagValues], None], about: str, values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Parses `argv` into `values` and calls `main` with them.

    A user's error is one line on standard error and exit code 2. Unless a `Stop` handles them, SIGTERM is one line and
    exit code 0, Ctrl-C one line and exit code 130.
    """
    _open_streams()
    try:
        with _signal_handlers():
            rest = values(flagfiles.expand(argv))[1:]
            if values.help:
                sys.stdout.write(_help_text(about, values) + "\n")
                return
            if rest:
                raise UserError(f"{rest[0]!r} is not a flag; flags look like --name=value")
            logging.use_absl_handler()
            logging.set_verbosity(values.verbosity)
            main(values)
    except Stopped:
        sys.stderr.write("interrupted; rerun the same command to resume\n")
        sys.exit(0)
    except KeyboardInterrupt:
        sys.stderr.write(interrupts.MESSAGE)
        sys.exit(INTERRUPTED)
    except (UserError, flags.Error) as error:
        sys.stderr.write(error_line(error))
        sys.exit(2)
    except BrokenPipeError:  # standard output was closed, for example by `| head`
        _silence_broken_pipes()
        sys.exit(1)
    except OSError as error:
        if error.filename is None or error.errno not in UNWRITABLE:
            raise
        sys.stderr.write(error_line(UserError(f"{error.filename}: {error.strerror}")))
        sys.exit(2)
