"""What a run says while it runs: `metrics.jsonl`, TensorBoard events, a progress bar or plain lines."""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2
from tqdm import tqdm

from gdl_jax.core.errors import UserError


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`, without lines that a kill cut off or that are damaged; [] if there is no file."""
    rows = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                rows.append(json.loads(line))
    return rows


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


class MetricsLog:
    """Appends rows to `metrics.jsonl` and TensorBoard.

    Rows after the step that a run resumes from are dropped; of one that starts anew (None), all.
    """

    def __init__(self, workdir: Path, resume_step: int | None):
        first = 0 if resume_step is None else resume_step + 1
        self.path = workdir / "metrics.jsonl"
        board = workdir / "tensorboard"
        with self._told():
            kept = [row for row in read_rows(self.path) if row["step"] < first]
            partial = self.path.with_suffix(".partial")  # a full disk or a kill here must not cost what was logged
            partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
            partial.replace(self.path)
            self._file = self.path.open("a")
            board.mkdir(exist_ok=True)
            # tensorboardX's own SummaryWriter writes in a thread, where a full disk is a traceback and no error
            self._board = EventsWriter(str(board / "events"), filename_suffix=f".{os.getpid()}")
            resumed = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._event(first, session_log=resumed)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.path}: cannot write: {error.strerror}") from error

    def _event(self, step: int, **content: Any) -> None:
        self._board.write_event(event_pb2.Event(wall_time=time.time(), step=step, **content))
        self._board.flush()

    def write(self, step: int, values: Mapping[str, float], replicas: Mapping[str, Sequence[float]]) -> None:
        """One row: {"step": step, name: value, ...}; where there are replicas, {"replicas": {name: values}} as well.

        Raises:
          UserError: the files can't be written (a full disk).
        """
        row = {"step": step} | {name: _rounded(value) for name, value in values.items()}
        if replicas:
            row["replicas"] = {name: [_rounded(value) for value in each] for name, each in replicas.items()}
        scalars = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        with self._told():
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()
            self._event(step, summary=summary_pb2.Summary(value=scalars))

    def close(self) -> None:
        """Everything is on disk after each row already; what can't be written any more was told of."""
        for file in (self._file, self._board):
            with suppress(OSError):
                file.close()


class NoMetricsLog:
    """For the processes that write nothing."""

    def write(self, step: int, values: Mapping[str, float], replicas: Mapping[str, Sequence[float]]) -> None:
        pass

    def close(self) -> None:
        pass


def _short(values: Mapping[str, float]) -> str:
    def text(name):
        spread = values.get(f"{name}_std")
        return f"{name} {values[name]:.4g}" + (f"±{spread:.2g}" if spread is not None else "")

    return "  ".join(text(name) for name in values if not name.endswith("_std"))


def duration(seconds: float) -> str:
    """`1:02:03`, or `2:03` under an hour."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """A bar with steps/s and ETA on a terminal; plain lines elsewhere."""

    def __init__(self, total: int, quiet: bool = False):
        self._total = total
        self._quiet = quiet
        self._bar = None
        self._first, self._began = 0, time.monotonic()

    def begin(self, step: int) -> None:
        """`step` updates are done already; from here on time is taken."""
        self._first, self._began = step, time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            self._bar = tqdm(total=self._total, initial=step, unit="step", dynamic_ncols=True, smoothing=0.1)

    def advance(self, step: int) -> None:
        """`step` updates are done."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """The newest means."""
        if self._bar is not None:
            self._bar.set_postfix_str(_short(values))
            return
        rate = (step - self._first) / max(time.monotonic() - self._began, 1e-9)
        left = duration((self._total - step) / rate) if rate else "?"
        self.say(f"step {step}/{self._total}  {_short(values)}  {rate:.4g} steps/s  {left} left")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
