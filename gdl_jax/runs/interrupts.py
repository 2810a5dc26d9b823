"""Ctrl-C as one line from a program's first import on. Imports nothing large."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130  # exit code of a program that Ctrl-C ended, as shells have it
MESSAGE = "interrupted\n"
SOON = 0.02  # seconds
SWALLOWING = "_xla_gc_callback"  # JAX's function in which Python reports exceptions instead of raising them


def _exit_now(number: int, frame: FrameType | None) -> NoReturn:
    sys.stderr.write(MESSAGE)
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    outer = frame
    while outer is not None:
        if outer.f_code.co_name == SWALLOWING:
            threading.Timer(SOON, os.kill, (os.getpid(), signal.SIGINT)).start()
            return
        outer = outer.f_back
    raise KeyboardInterrupt


def heed_while_importing() -> None:
    """Lets Ctrl-C end the program at once, as long as nothing can be lost; `heed` puts an end to that."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit_now)


def heed() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt, unless it is ignored (as in a shell's background) or handled otherwise."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _exit_now):
        signal.signal(signal.SIGINT, _interrupt)
