"""Measurements of a run: held-out means, metrics of samples, training time; for one seed or several."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.learner import Learner, State
from gdl_jax.core.parallel import Devices
from gdl_jax.core.programs import make_evaluate
from gdl_jax.data.dataset import DataSet
from gdl_jax.runs.experiment import EVALUATION_BATCH, Run, SampleEvaluator, SampleMetrics

HELD_OUT = ("validation", "test")  # splits; samples are compared with the last


def state_of_seed(state: State, seeds: int, index: int = 0) -> State:
    """Returns the state on this process's first device; that of one seed if there are several."""
    local = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), state)
    return local if seeds == 1 else jax.tree.map(lambda leaf: leaf[index], local)


def split_evaluator(
    learner: Learner,
    data: DataSet,
    splits: Sequence[str],
    devices: Devices,
    config: Any,
    batch_size: int = EVALUATION_BATCH,
) -> Callable[[State], dict[str, np.ndarray]]:
    """Returns a function: state -> {"split/metric": mean over the split}, () or (seeds,) each.

    Splits that the data lack are skipped.
    """
    means = {
        split: make_evaluate(learner, data, rows, batch_size, devices, config.seed, config.seeds)
        for split in splits
        if (rows := getattr(data, split)) is not None
    }

    def evaluate(state):
        values = {split: of_split(state) for split, of_split in means.items()}
        return {f"{split}/{name}": value for split in values for name, value in values[split].items()}

    return evaluate


def measure_samples(
    metrics: SampleMetrics | None, evaluator: SampleEvaluator | None, run_of_seed: Callable[[int], Run], seeds: int
) -> dict[str, np.ndarray]:
    """Returns the metrics of each seed's samples: {name: () or (seeds,)}; {} if there is no evaluator."""
    if metrics is None or evaluator is None:
        return {}
    runs = map(run_of_seed, range(seeds))
    rows = [evaluator.evaluate(metrics.draw(run, run.key, evaluator.num)) for run in runs]
    common = [name for name in rows[0] if all(name in row for row in rows)]  # some are undefined for some seeds
    values = {name: np.array([row[name] for row in rows]) for name in common}
    return values if seeds > 1 else {name: value[0] for name, value in values.items()}


def to_results(values: Mapping[str, np.ndarray | int]) -> dict[str, Any]:
    """Returns numbers for results.json, or {"mean", "std", "values"} if there are several seeds."""

    def one(value):
        if np.ndim(value) == 0:
            return float(value)
        return {"mean": float(np.mean(value)), "std": float(np.std(value, ddof=1)), "values": np.ravel(value).tolist()}

    return {name: one(value) for name, value in values.items()}


def format_results(results: Mapping[str, Any]) -> str:
    """Returns results as lines "name: value", followed by protocols as lines "name: text"."""

    def text(value):
        if isinstance(value, dict):
            return f"{value['mean']:.6g} ± {value['std']:.2g}"
        return value if isinstance(value, str) else f"{value:.6g}"

    lines = [f"{name}: {text(value)}\n" for name, value in results.items() if name != "protocol"]
    lines += [f"{name}: {value}\n" for name, value in results.get("protocol", {}).items() if isinstance(value, str)]
    return "".join(lines)


def training_minutes(rows: Sequence[Mapping[str, Any]]) -> float:
    """Returns the time spent on updates, from the rows of metrics.jsonl, without compilation and evaluation."""
    seconds, last = 0.0, 0
    for row in rows:
        if "steps_per_second" in row:
            seconds += (row["step"] - last) / row["steps_per_second"]
            last = row["step"]
    return seconds / 60
