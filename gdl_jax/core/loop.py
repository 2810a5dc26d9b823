"""The training loop: it trains any Learner on any devices, and can be stopped anywhere and resumed bit for bit.

Many updates run in one compiled call: a loop with a dynamic trip count, so that one program serves every call length
and the numbers do not depend on how steps are grouped into calls.
"""

import math
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from gdl_jax.core import early_stopping, input_pipeline
from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.core.learner import Learner, State
from gdl_jax.core.metrics_log import MetricsLog, NoMetricsLog
from gdl_jax.core.parallel import Devices, to_host
from gdl_jax.core.programs import compile_train, initial_state
from gdl_jax.core.progress import Progress
from gdl_jax.core.signals import in_main_thread, termination_signals

Evaluate = Callable[[State], Mapping[str, np.ndarray]]  # state -> {"split/metric": mean, () or (seeds,)}
Preview = Callable[[State, int], None]  # (state, step) -> None
Start = Callable[[State], State]  # the initial state -> the one that a new run starts from
SECONDS_PER_CALL = 1.0  # target time of a compiled call: stops soon after a signal, hides the overhead of calls


class NonFiniteError(UserError):
    """Error of a metric that became NaN or infinite."""


def summarise(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns {name: mean over seeds, name_std: standard deviation}, the latter only if there are several seeds."""
    summary = {}
    for name, value in values.items():
        summary[name] = float(np.mean(value))
        if np.ndim(value):
            summary[f"{name}_std"] = float(np.std(value, ddof=1))
    return summary


class Stop:
    """Stop request by SIGTERM (preemption), SIGHUP (a closed terminal) or Ctrl-C; all processes agree on it.

    Outside the main thread, where Python allows no handlers, nothing requests a stop.
    """

    def __init__(self):
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self):
        for number in (*termination_signals(), signal.SIGINT) if in_main_thread() else ():
            self._before[number] = signal.signal(number, self._request)
        return self

    def _request(self, number, frame):
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self) -> bool:
        """True if any process has been asked to stop; every process gets the same answer."""
        if jax.process_count() == 1:
            return self.requested
        return bool(np.any(multihost_utils.process_allgather(np.asarray(self.requested))))


class TrainResult(NamedTuple):
    """Result of training.

    Attributes:
      state: the last state; with patience, the best.
      step: updates made.
      began: step from which the run resumed; 0 for a new run.
      finished: True if training is complete (all steps, or out of patience) and no stop was requested.
      best_step: updates made by `state`, () or (seeds,), with patience; else None.
      evaluated: result of `evaluate` for `state`; None if there is none, because the run was complete and made no step,
        or because `state` is the best rather than the last.
    """

    state: State
    step: int
    began: int
    finished: bool
    best_step: np.ndarray | None
    evaluated: Mapping[str, np.ndarray] | None


class Window(NamedTuple):
    """Metrics of the steps since the last row of the log; saved with a checkpoint, so that no row is lost."""

    metrics: dict[str, np.ndarray]  # one value per step
    timed_steps: int = 0
    seconds: float = 0.0

    def extended(self, metrics: Mapping[str, np.ndarray], seconds: float) -> "Window":
        """Returns a window with more steps; `seconds` is NaN for a call that includes compilation."""
        joined = {n: np.concatenate([self.metrics[n], v]) if n in self.metrics else v for n, v in metrics.items()}
        if math.isnan(seconds):
            return self._replace(metrics=joined)
        return Window(joined, self.timed_steps + len(next(iter(metrics.values()))), self.seconds + seconds)

    def means(self) -> dict[str, np.ndarray]:
        """Returns {"train/metric": mean over the steps}, float64, () or (seeds,)."""
        return {f"train/{name}": values.mean(0, dtype=np.float64) for name, values in self.metrics.items()}

    def rate(self) -> dict[str, float]:
        """Returns {"steps_per_second": speed}; {} before a call has been timed."""
        return {"steps_per_second": self.timed_steps / self.seconds} if self.seconds else {}

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"metrics": {name: values.tolist() for name, values in self.metrics.items()}}

    @classmethod
    def from_json(cls, notes: Mapping[str, Any]) -> "Window":
        return cls(**dict(notes) | {"metrics": {n: np.asarray(v, np.float32) for n, v in notes["metrics"].items()}})


def _check_finite(metrics: Mapping[str, np.ndarray], first: int, saved: int | None) -> None:
    for name, values in metrics.items():
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
        if bad.size:
            value = values[bad[0]].reshape(-1)
            value = value[~np.isfinite(value)][0]
            kept = f"the last good checkpoint is that of step {saved}" if saved else "there is no checkpoint yet"
            raise NonFiniteError(f"{name} became {value} at step {first + bad[0] + 1}; {kept}")


class Schedule(NamedTuple):
    """Steps at which logging, evaluation, checkpoints and the end are due; see `train`."""

    steps: int
    log_every: int
    eval_every: int
    checkpoint_every: int
    patience: int

    def is_due(self, every: int, step: int) -> bool:
        """True if an event that occurs every `every` steps and at the end is due after `step` updates."""
        return step == self.steps or bool(every and step % every == 0)

    def until_next(self, step: int) -> int:
        """Returns the number of updates until the next event."""
        every = (self.log_every, self.eval_every, self.checkpoint_every)
        return min([self.steps - step, *(n - step % n for n in every if n)])


@dataclass
class Position:
    """Position of a run in its training; updated by each call.

    Attributes:
      step: updates made.
      state: state after these updates.
      best: with patience, the best state so far.
      window: metrics since the last row of the log.
      saved: step of the last checkpoint; None before the first.
      evaluated: result of the last evaluation, if it was of `state`.
    """

    step: int
    state: State
    best: early_stopping.Best | None
    window: Window
    saved: int | None = None
    evaluated: Mapping[str, np.ndarray] | None = None

    def is_complete(self, schedule: Schedule) -> bool:
        """True if no updates are left to make."""
        return self.step == schedule.steps or early_stopping.out_of_patience(self.best, schedule.patience)


class Reporter(NamedTuple):
    """Destinations of a run's metrics: the log and the progress bar."""

    log: MetricsLog | NoMetricsLog
    progress: Progress

    def report(self, step: int, values: Mapping[str, np.ndarray], more: Mapping[str, float]) -> None:
        """Logs and shows values, () or (seeds,) each, as means over seeds; `more` is only logged."""
        summary = summarise(values)
        self.log.write(step, dict(more) | summary, {name: value for name, value in values.items() if np.ndim(value)})
        self.progress.show(step, summary)


class Batches(NamedTuple):
    """Training batches of one process.

    Attributes:
      pipeline: loads them onto the devices.
      indices: step -> rows of this process's share of that step's batch, (B,) or with several seeds (B, seeds).
      examples: number of examples per step, over all processes.
    """

    pipeline: Any
    indices: Callable[[int], np.ndarray]
    examples: int


def _make_batches(learner: Learner, data: Any, devices: Devices, batch_size: int, seed: int, seeds: int) -> Batches:
    examples = batch_size * learner.batches_per_step
    mine = devices.local_slice(batch_size)
    mine = slice(mine.start * learner.batches_per_step, mine.stop * learner.batches_per_step)
    pipeline = input_pipeline.make_pipeline(data.train, devices, (mine.stop - mine.start) * seeds)
    permutation = input_pipeline.cached_permutations(2 * seeds)  # two per seed: a batch may straddle two epochs
    rows = len(data.train)

    def indices(step):
        orders = [input_pipeline.batch_indices(seed + i, step, examples, rows, permutation)[mine] for i in range(seeds)]
        return orders[0] if seeds == 1 else np.stack(orders, axis=1)

    return Batches(pipeline, indices, examples)


def _begin(
    checkpoints: Checkpoints, state: State, devices: Devices, patience: int, seeds: int, start: Start | None
) -> Position:
    """Returns the position at the newest checkpoint, or before the first update."""
    best = early_stopping.initial_best(state, seeds) if patience else None
    resumed = checkpoints.restore(early_stopping.to_save(state, best))
    if resumed is None:
        if start is not None:
            state = devices.place_state(start(to_host(state)))
        return Position(0, state, best, Window({}))
    checkpoints.set_aside_unreadable()
    state, best = (resumed.state["state"], resumed.state["best"]) if patience else (resumed.state, None)
    window = Window.from_json(resumed.notes)
    return Position(resumed.step, devices.place_state(state), best, window, saved=resumed.step)


def _save(position: Position, checkpoints: Checkpoints) -> None:
    saved = early_stopping.to_save(position.state, position.best)
    checkpoints.save(position.step, saved, position.window.to_json())
    position.saved = position.step


def _evaluate(
    position: Position, schedule: Schedule, evaluate: Evaluate | None, preview: Preview | None, reporter: Reporter
) -> None:
    """Evaluates and previews the current state."""
    values = None if evaluate is None else evaluate(position.state)
    if values:
        reporter.report(position.step, values, {})
    if position.best is not None:
        regular = position.step % schedule.eval_every == 0
        position.best = early_stopping.update_best(
            position.best, position.state, values, position.step, schedule.patience, regular
        )
    if preview is not None:
        preview(position.state, position.step)
    position.evaluated = values


class _Pace:
    """Number of updates per compiled call: as many as fit into SECONDS_PER_CALL, once one call has been timed."""

    def __init__(self):
        self.calls = 0
        self._steps = 1

    def limit(self, count: int) -> int:
        """Returns at most `count`; with several processes, `count`, because their calls must have the same length."""
        return min(count, self._steps) if jax.process_count() == 1 else count

    def timed(self, count: int, seconds: float) -> float:
        """Records a call's time and returns it; NaN for the first call, which includes compilation."""
        self.calls += 1
        if self.calls == 1:
            return math.nan
        self._steps = int(np.clip(SECONDS_PER_CALL / seconds * count, 1, 2 * self._steps + 1))
        return seconds


def train(
    learner: Learner,
    data: Any,
    devices: Devices,
    workdir: Path,
    *,
    steps: int,
    batch_size: int,
    seed: int = 0,
    seeds: int = 1,
    log_every: int = 100,
    eval_every: int = 0,
    checkpoint_every: int = 0,
    patience: int = 0,
    evaluate: Evaluate | None = None,
    preview: Preview | None = None,
    start: Start | None = None,
    profile: bool = False,
) -> TrainResult:
    """Trains to `steps` updates in total, from the newest checkpoint in `workdir` if there is one.

    Args:
      learner: the learner.
      data: a DataSet; its `train` split is used.
      devices: from `core.parallel.make_devices`.
      workdir: receives `checkpoints/`, `metrics.jsonl`, `tensorboard/`, and `profile/` if requested.
      steps, batch_size, seed, seeds, log_every, eval_every, checkpoint_every: same as the flags of these names.
      patience: evaluations without a lower "validation/loss" after which training ends before `steps`; 0: never.
      evaluate: called with the state every `eval_every` steps, also before the first step, and at the end; returns
        {"split/metric": value} to log, {} if there is nothing to evaluate on.
      preview: called with (state, step) at the same steps, by every process.
      start: called with the initial state of a new run, on the host; returns the one to train from.
      profile: traces the second compiled call, or the first if there is only one.

    Raises:
      NonFiniteError: a metric became NaN or infinite; the message names the step.
      UserError: a file could not be read or written, or patience is set without a validation loss.
    """
    if patience and not eval_every:
        raise ConfigError("patience", patience, "needs eval_every of at least 1")
    schedule = Schedule(steps, log_every, eval_every, checkpoint_every, patience)
    writes = jax.process_index() == 0
    progress = Progress(steps, quiet=not writes)
    batches = _make_batches(learner, data, devices, batch_size, seed, seeds)
    checkpoints = Checkpoints(workdir / "checkpoints", warn=progress.say)
    initial = initial_state(learner, data, devices, seed, seeds)
    position = _begin(checkpoints, initial, devices, patience, seeds, start)
    began, is_new = position.step, position.saved is None
    if not is_new:
        progress.say(f"resuming from step {began}")
    log = MetricsLog(workdir, position.saved) if writes else NoMetricsLog()
    reporter = Reporter(log, progress)
    run_steps = compile_train(learner, data, batches.pipeline, devices, seed, seeds)
    with Stop() as stop, ExitStack() as at_exit:  # handles signals until the last checkpoint is written
        for close in (checkpoints.close, batches.pipeline.close, log.close, progress.close):
            at_exit.callback(close)
        progress.begin(began)
        if is_new and eval_every:
            _evaluate(position, schedule, evaluate, preview, reporter)
        position.evaluated = None
        pace = _Pace()
        while not position.is_complete(schedule) and not stop.agreed():
            traced = workdir / "profile" if profile else None
            _advance(position, schedule, pace, run_steps, batches, traced)
            progress.advance(position.step)
            if schedule.is_due(log_every, position.step):
                epoch = position.step * batches.examples / len(data.train)
                reporter.report(position.step, position.window.means(), {"epoch": epoch} | position.window.rate())
                position.window = Window({})
            if schedule.is_due(eval_every, position.step):
                _evaluate(position, schedule, evaluate, preview, reporter)
            if schedule.is_due(checkpoint_every, position.step):
                _save(position, checkpoints)
        if position.step < steps:
            _save(position, checkpoints)
            if position.is_complete(schedule):
                progress.say(f"early stopping at step {position.step}: no lower loss in {patience} evaluations")
        finished = position.is_complete(schedule) and not stop.agreed()
    if position.best is None:
        return TrainResult(position.state, position.step, began, finished, None, position.evaluated)
    best = position.best
    return TrainResult(devices.place_state(best.state), position.step, began, finished, best.step, None)


def _advance(
    position: Position, schedule: Schedule, pace: _Pace, run_steps: Callable, batches: Batches, traced: Path | None
) -> None:
    """Runs one compiled call: as many updates as the pace allows, but none beyond the next event."""
    count = pace.limit(min(schedule.until_next(position.step), batches.pipeline.steps_per_call))
    is_last = position.step + count == schedule.steps
    trace_now = traced is not None and (pace.calls == 1 or (pace.calls == 0 and is_last))
    with jax.profiler.trace(str(traced)) if trace_now else nullcontext():
        clock = time.monotonic()
        loaded = batches.pipeline.load(batches.indices, position.step, count, schedule.steps)
        state, history = run_steps(position.state, batches.pipeline.arrays, loaded, position.step, count)
        position.state = state
        metrics = {name: np.asarray(values)[:count] for name, values in jax.device_get(history).items()}
        seconds = time.monotonic() - clock
    _check_finite(metrics, position.step, position.saved)
    position.step, position.evaluated = position.step + count, None
    position.window = position.window.extended(metrics, pace.timed(count, seconds))
