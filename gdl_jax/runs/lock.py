"""Lock that allows only one process at a time to train in a run's folder."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from gdl_jax.core.errors import ConfigError

NAME = ".lock"


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Creates a run's folder and keeps other processes from training in it during the block.

    The operating system releases the lock when the process ends for any reason, so that a killed run leaves none
    behind. File systems and platforms without such locks give no protection.

    Raises:
      ConfigError: another process is training there, or the folder can't be created or written; names workdir.
    """
    workdir = workdir.absolute()
    if any("\ud800" <= character <= "\udfff" for character in str(workdir)):  # bytes that Python couldn't decode
        raise ConfigError("workdir", workdir, "is not UTF-8, and no checkpoint can be written there")
    if any(character in workdir.as_posix() for character in "[]\\"):  # orbax takes them for a pattern when it saves
        raise ConfigError("workdir", workdir, "has [, ] or \\ in its path, and checkpoints written there can't be read")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / NAME).open("a+", encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError("workdir", workdir, f"cannot be written: {reason}") from error
    with file:
        if not _lock(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ConfigError("workdir", workdir, f"{holder} is training in it (wait for it, or use another workdir)")
        with suppress(OSError):  # a full disk: the text only improves the other process's message
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        yield


@contextmanager
def locked_for_all(workdir: Path) -> Iterator[None]:
    """`locked` for several processes: process 0 takes the lock, and where it is refused, all are.

    Raises:
      ConfigError: as `locked`.
    """
    refusal = None
    with ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                stack.enter_context(locked(workdir))
            except ConfigError as error:
                refusal = error
        if jax.process_count() > 1 and multihost_utils.process_allgather(np.asarray(refusal is not None)).any():
            refusal = refusal or ConfigError("workdir", workdir, "is refused by process 0")
        if refusal:
            raise refusal
        yield


def _lock(descriptor: int) -> bool:
    """Acquires the lock; returns False if another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
