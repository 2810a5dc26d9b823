"""Log of a run: rows of `metrics.jsonl` and TensorBoard events."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2

from gdl_jax.core.errors import UserError
from gdl_jax.core.json_files import from_json, to_json
from gdl_jax.core.paths import replacing


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a `metrics.jsonl`; [] if there is no file. Damaged and truncated lines are skipped."""
    rows = []
    if path.exists():
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                rows.append(from_json(line))
    return rows


def seed_values(row: Mapping[str, Any]) -> Mapping[str, Sequence[float]]:
    """Returns {metric: values of all seeds} of a row; {} if there is one seed. Older logs have the key "replicas"."""
    return row.get("seeds", row.get("replicas", {}))


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


class MetricsLog:
    """Log that appends rows to `metrics.jsonl` and TensorBoard.

    Rows after the step from which a run resumes are dropped; all rows if it starts from scratch (None).
    """

    def __init__(self, workdir: Path, resume_step: int | None):
        first = 0 if resume_step is None else resume_step + 1
        self.path = workdir / "metrics.jsonl"
        board = workdir / "tensorboard"
        with self._write_errors():
            kept = [row for row in read_rows(self.path) if row["step"] < first]
            with replacing(self.path, alone=True) as partial:
                partial.write_text("".join(to_json(row) + "\n" for row in kept), encoding="utf-8")
            self._file = self.path.open("a", encoding="utf-8")
            board.mkdir(exist_ok=True)
            # tensorboardX's own SummaryWriter writes in a thread, where a full disk only prints a traceback
            self._board = EventsWriter(str(board / "events"), filename_suffix=f".{os.getpid()}")
            resumed = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._event(first, session_log=resumed)

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.path}: cannot write: {error.strerror}") from error

    def _event(self, step: int, **content: Any) -> None:
        self._board.write_event(event_pb2.Event(wall_time=time.time(), step=step, **content))
        self._board.flush()

    def write(self, step: int, values: Mapping[str, float], of_seeds: Mapping[str, Iterable[float]]) -> None:
        """Writes one row: {"step": step, name: value, ...}, with {"seeds": {name: values}} if there are several seeds.

        Raises:
          UserError: the files can't be written (a full disk).
        """
        row: dict[str, Any] = {"step": step} | {name: _rounded(value) for name, value in values.items()}
        if of_seeds:
            row["seeds"] = {name: [_rounded(value) for value in each] for name, each in of_seeds.items()}
        scalars = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        with self._write_errors():
            self._file.write(to_json(row) + "\n")
            self._file.flush()
            self._event(step, summary=summary_pb2.Summary(value=scalars))

    def close(self) -> None:
        """Closes the files; every row is on disk already."""
        for file in (self._file, self._board):
            with suppress(OSError):
                file.close()


class NoMetricsLog:
    """Log for processes that write nothing."""

    def write(self, step: int, values: Mapping[str, float], of_seeds: Mapping[str, Iterable[float]]) -> None:
        pass

    def close(self) -> None:
        pass
