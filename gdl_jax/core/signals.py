"""Signals that end a program. Imports nothing large."""

import signal
import threading


def termination_signals() -> list[int]:
    """Returns the signals that ask a program to end: SIGTERM, and SIGHUP unless it is ignored, as by nohup."""
    hangup = getattr(signal, "SIGHUP", None)  # none on Windows
    return [signal.SIGTERM, *([hangup] if hangup and signal.getsignal(hangup) is not signal.SIG_IGN else [])]


def in_main_thread() -> bool:
    """True in the thread in which Python allows signal handlers."""
    return threading.current_thread() is threading.main_thread()
