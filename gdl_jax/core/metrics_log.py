"""What a run keeps of what it measures: `metrics.jsonl` and TensorBoard events."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2

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
