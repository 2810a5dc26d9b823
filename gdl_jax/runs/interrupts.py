"""Handlers that make Ctrl-C print one line, from a program's first import on. Imports nothing large."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from gdl_jax.core.signals import in_main_thread

INTERRUPTED = 130  # exit code after Ctrl-C, as in shells
MESSAGE = "interrupted\n"
RETRY_SECONDS = 0.02
SWALLOWING = "_xla_gc_callback"  # JAX's function in which Python reports exceptions instead of raising them


def _exit_now(number: int, frame: FrameType | None) -> NoReturn:
    sys.stderr.write(MESSAGE)
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    outer = frame
    while outer is not None:
        if outer.f_code.co_name == SWALLOWING:
            threading.Timer(RETRY_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
            return
        outer = outer.f_back
    raise KeyboardInterrupt


def exit_on_ctrl_c() -> None:
    """Makes Ctrl-C end the program at once, while nothing can be lost; until `raise_on_ctrl_c` is called."""
    if in_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit_now)


def raise_on_ctrl_c() -> None:
    """Makes Ctrl-C raise KeyboardInterrupt, unless it is ignored (as in a shell's background) or handled otherwise."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _exit_now):
        signal.signal(signal.SIGINT, _interrupt)
