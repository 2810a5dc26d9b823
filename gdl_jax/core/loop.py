"""The one loop: it trains any Learner, on any devices, and can be stopped anywhere and go on bit for bit.

Many updates run in one compiled call: a loop with a dynamic trip count, so that one program serves every call length
and the numbers don't depend on where the calls are cut.
"""

import math
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from gdl_jax.core import early_stopping
from gdl_jax.core import input_pipeline as feeds
from gdl_jax.core.checkpoint import Checkpoints
from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Learner, State
from gdl_jax.core.metrics_log import MetricsLog, NoMetricsLog
from gdl_jax.core.parallel import Devices
from gdl_jax.core.programs import compile_train, initial_state
from gdl_jax.core.progress import Progress

SECONDS_PER_CALL = 1.0  # aim of one compiled call: short enough to stop soon, long enough to cost nothing


class NonFiniteError(UserError):
    """A metric became NaN or infinite."""


def summarise(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """{name: mean over replicas, name_std: standard deviation}, the latter for replicas only."""
    summary = {}
    for name, value in values.items():
        summary[name] = float(np.mean(value))
        if np.ndim(value):
            summary[f"{name}_std"] = float(np.std(value, ddof=1))
    return summary


class Stop:
    """Asks the loop to stop at SIGTERM (preemption) or Ctrl-C; all processes agree on when."""

    def __init__(self):
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number, frame):
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self) -> bool:
        if jax.process_count() == 1:
            return self.asked
        return bool(np.any(multihost_utils.process_allgather(np.asarray(self.asked))))


class Outcome(NamedTuple):
    """What training ended with.

    Attributes:
      state: the last; with patience, the best.
      step: updates made.
      began: updates made before, by a run that goes on; 0 of a new one.
      finished: whether that is all: as many as were asked for, or until patience ended, and nobody asked to stop.
      best_step: updates that this state had, () or (seeds,), with patience; else None.
      evaluated: what `evaluate` said of this state; None if it was not asked: a finished run does no step, and a best
        state may have been met long ago.
    """

    state: State
    step: int
    began: int
    finished: bool
    best_step: np.ndarray | None
    evaluated: Mapping[str, np.ndarray] | None


class Window(NamedTuple):
    """The metrics of the steps since the last row of the log; saved with a checkpoint, so that no row is lost."""

    metrics: dict[str, np.ndarray]  # one value a step
    timed_steps: int = 0
    seconds: float = 0.0

    def extended(self, metrics: Mapping[str, np.ndarray], seconds: float) -> "Window":
        """With more steps; `seconds` is NaN for a call that compiled, which would spoil the rate."""
        joined = {n: np.concatenate([self.metrics[n], v]) if n in self.metrics else v for n, v in metrics.items()}
        if math.isnan(seconds):
            return self._replace(metrics=joined)
        return Window(joined, self.timed_steps + len(next(iter(metrics.values()))), self.seconds + seconds)

    def means(self) -> dict[str, np.ndarray]:
        """{"train/metric": mean over the steps}, float64, () or (seeds,)."""
        return {f"train/{name}": values.mean(0, dtype=np.float64) for name, values in self.metrics.items()}

    def rate(self) -> dict[str, float]:
        """The speed, where it is known."""
        return {"steps_per_second": self.timed_steps / self.seconds} if self.seconds else {}

    def to_json(self) -> dict[str, Any]:
        return self._asdict() | {"metrics": {name: values.tolist() for name, values in self.metrics.items()}}

    @classmethod
    def from_json(cls, notes: Mapping[str, Any]) -> "Window":
        return cls(**dict(notes) | {"metrics": {n: np.asarray(v, np.float32) for n, v in notes["metrics"].items()}})


def _check_finite(metrics: Mapping[str, np.ndarray], first: int, saved: int) -> None:
    for name, values in metrics.items():
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
        if bad.size:
            value = values[bad[0]].reshape(-1)
            value = value[~np.isfinite(value)][0]
            kept = f"the last good checkpoint is that of step {saved}" if saved else "there is no checkpoint yet"
            raise NonFiniteError(f"{name} became {value} at step {first + bad[0] + 1}; {kept}")


def train(
    learner: Learner,
    data,
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
    evaluate: Callable[[State], Mapping[str, np.ndarray]] | None = None,
    preview: Callable[[State, int], None] | None = None,
    profile: bool = False,
) -> Outcome:
    """Trains to `steps` updates in all, from the newest checkpoint in `workdir` if there is one.

    Args:
      learner: what to train.
      data: a DataSet; its `train` split is used.
      devices: from `core.parallel.make_devices`.
      workdir: gets `checkpoints/`, `metrics.jsonl`, `tensorboard/`, and `profile/` if asked for.
      steps, batch_size, seed, seeds, log_every, eval_every, checkpoint_every: as the flags of these names.
      patience: evaluations without a lower "validation/loss" after which training ends before `steps`; 0: never.
      evaluate: called every `eval_every` steps, before the first too, and at the end; its values, named "split/metric",
        are logged; {} where there is nothing to evaluate on.
      preview: called with (state, step) at the same moments, by the first process only.
      profile: traces one compiled call, after the one that compiles where there are more.

    Raises:
      NonFiniteError: a metric became NaN or infinite; the message names the step.
      UserError: something could not be read or written; patience, and no evaluations, or no such loss.
    """
    if patience and not eval_every:
        raise UserError(f"--patience={patience}: needs --eval_every of at least 1")
    writes = jax.process_index() == 0
    examples = batch_size * learner.batches
    columns = slice(*(column * learner.batches for column in devices.columns(batch_size)))
    progress = Progress(steps, quiet=not writes)
    feed = feeds.make_feed(data.train, devices, (columns.stop - columns.start) * seeds)
    permutation = feeds.cached_permutations(2 * seeds)  # of each replica: a batch may straddle two epochs
    checkpoints = Checkpoints(workdir / "checkpoints", warn=progress.say)
    state = initial_state(learner, data, devices, seed, seeds)
    best = early_stopping.none_yet(state, seeds) if patience else None
    step, window = 0, Window({})
    if (resumed := checkpoints.restore(early_stopping.to_save(state, best))) is not None:
        checkpoints.set_aside_unreadable()
        state, best = (resumed.state["state"], resumed.state["best"]) if patience else (resumed.state, None)
        step, state, window = resumed.step, devices.replicate(state), Window.from_json(resumed.notes)
        progress.say(f"resuming from step {step}")
    saved = began = step
    log = MetricsLog(workdir, None if resumed is None else step) if writes else NoMetricsLog()
    run_steps = compile_train(learner, data, feed, devices, seed, seeds)

    def indices(t):
        rows = len(data.train)
        orders = [feeds.batch_indices(seed + r, t, examples, rows, permutation)[columns] for r in range(seeds)]
        return orders[0] if seeds == 1 else np.stack(orders, axis=1)

    def to_next(every):
        return every - step % every if every else steps

    def is_time(every):
        return step == steps or (every and step % every == 0)

    def save():
        checkpoints.save(step, early_stopping.to_save(state, best), window.to_json())

    def report(values, more):
        summary = summarise(values)
        log.write(step, more | summary, {name: value for name, value in values.items() if np.ndim(value)})
        progress.show(step, summary)

    def held_out():
        nonlocal best
        values = None if evaluate is None else evaluate(state)
        if values:
            report(values, {})
        if patience:
            regular = step % eval_every == 0
            best = early_stopping.after_evaluation(best, state, values, step, patience, regular)
        if preview is not None and writes:
            preview(state, step)
        return values

    per_call, calls, evaluated = 1, 0, None
    with Stop() as stop:  # until the last checkpoint is written, too
        try:
            progress.begin(step)
            if resumed is None and eval_every:
                held_out()
            while step < steps and not early_stopping.is_over(best, patience) and not stop.agreed():
                count = min(steps - step, *map(to_next, (log_every, eval_every, checkpoint_every)), feed.steps_per_call)
                if jax.process_count() == 1:
                    count = min(count, per_call)
                traced = profile and (calls == 1 or (calls == 0 and step + count == steps))
                trace = jax.profiler.trace(str(workdir / "profile")) if traced else nullcontext()
                with trace:
                    clock = time.monotonic()
                    loaded = feed.load(indices, step, count, steps)
                    state, history = run_steps(state, feed.arrays, loaded, step, count)
                    metrics = {name: np.asarray(values)[:count] for name, values in jax.device_get(history).items()}
                    elapsed = time.monotonic() - clock
                _check_finite(metrics, step, saved)
                step, calls = step + count, calls + 1
                window = window.extended(metrics, elapsed if calls > 1 else math.nan)
                if calls > 1:
                    per_call = int(np.clip(SECONDS_PER_CALL / elapsed * count, 1, 2 * per_call + 1))
                progress.advance(step)
                if is_time(log_every):
                    report(window.means(), {"epoch": step * examples / len(data.train)} | window.rate())
                    window = Window({})
                evaluated = held_out() if is_time(eval_every) else None
                if is_time(checkpoint_every):
                    save()
                    saved = step
            if step < steps:
                save()
            if step < steps and early_stopping.is_over(best, patience):
                progress.say(f"stopped at step {step}: no lower held-out loss in {patience} evaluations")
            finished = (step == steps or early_stopping.is_over(best, patience)) and not stop.agreed()
        finally:
            progress.close()
            log.close()
            feed.close()
            checkpoints.close()
    if best is None:
        return Outcome(state, step, began, finished, None, evaluated)
    return Outcome(devices.replicate(best.state), step, began, finished, best.step, None)
