"""Progress reports: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Iterable, Mapping

from tqdm import tqdm

SECONDS_PER_LINE = 20.0  # interval of `progress_bar` without a terminal


def _short(values: Mapping[str, float]) -> str:
    def text(name):
        spread = values.get(f"{name}_std")
        return f"{name} {values[name]:.4g}" + (f"±{spread:.2g}" if spread is not None else "")

    return "  ".join(text(name) for name in values if not name.endswith("_std"))


def duration(seconds: float) -> str:
    """Returns `1:02:03`, or `2:03` under an hour."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Lines:
    """File for tqdm that writes each update as a line on standard error."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(
    iterable: Iterable | None = None, *, total: int | None = None, initial: int = 0, unit: str, desc: str = ""
) -> tqdm:
    """Returns tqdm's bar; without a terminal, it writes a line every SECONDS_PER_LINE, and none for shorter work."""
    shown = {"total": total, "initial": initial, "unit": f" {unit}", "desc": f"{desc}: " if desc else None}
    if sys.stderr.isatty():
        return tqdm(iterable, **shown)
    pace = dict.fromkeys(("delay", "mininterval", "maxinterval"), SECONDS_PER_LINE)
    line = "{desc}{n:,} of {total:,}{unit}, {percentage:.0f}%, {rate_noinv_fmt}, {remaining} left"
    return tqdm(iterable, file=_Lines(), bar_format=line, **pace, **shown)


class Progress:
    """Progress of training: a bar with steps/s and ETA on a terminal; plain lines elsewhere."""

    def __init__(self, total: int, quiet: bool = False):
        self._total = total
        self._quiet = quiet
        self._bar = None
        self._first, self._began = 0, time.monotonic()

    def begin(self, step: int) -> None:
        """Starts the bar and the clock; `step` updates have been made already."""
        self._first, self._began = step, time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            self._bar = tqdm(total=self._total, initial=step, unit="step", dynamic_ncols=True, smoothing=0.1)

    def advance(self, step: int) -> None:
        """Moves the bar to `step` updates."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def say(self, text: str) -> None:
        """Writes a line, above the bar if there is one."""
        if self._quiet:
            return
        try:
            if self._bar is not None:
                self._bar.write(text, file=sys.stderr)
            else:
                sys.stderr.write(text + "\n")
                sys.stderr.flush()
        except BrokenPipeError:  # nobody reads (`2>&1 | head`), which is no reason to stop training
            self._quiet = True

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """Shows the latest means."""
        if self._bar is not None:
            self._bar.set_postfix_str(_short(values))
            return
        rate = (step - self._first) / max(time.monotonic() - self._began, 1e-9)
        left = duration((self._total - step) / rate) if rate else "?"
        self.say(f"step {step}/{self._total}  {_short(values)}  {rate:.4g} steps/s  {left} left")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
