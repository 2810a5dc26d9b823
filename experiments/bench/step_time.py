"""Times a training step of an experiment in the real loop, on noise of its data's shape.

    python -m experiments.bench.step_time --experiment=classifier --config=cnn --batch_size=32
    python -m experiments.bench.step_time --experiment=vae --config=digits --seed_loop=vmap --seeds=3

Prints one line of JSON. With --seed_loop, several seeds are trained in a bare compiled loop instead, batched (vmap) or
sequentially (map), to compare the two ways to run `--seeds` on this machine.
"""

import dataclasses
import functools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from jax import lax

from experiments import registry
from gdl_jax.core import loop
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.parallel import make_devices
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.runs import command
from gdl_jax.runs.experiment import Experiment

ROWS, LARGEST = 10_000, 2**27  # most examples, and most bytes, of the random data
WARM_UP = 2  # ignored windows: they compile, and determine the number of steps per call


def _ends(like: DataSet) -> dict[str, int]:
    """Returns the number of values of a data set's pixels and tokens; classes are ten."""
    tokenizers = {"tokens": "tokenizer", "source": "source_tokenizer", "target": "target_tokenizer"}
    tokens = {name: getattr(like, field).size for name, field in tokenizers.items() if hasattr(like, field)}
    words = {"tokens": len(like.vocabulary)} if hasattr(like, "vocabulary") else {}
    return {**dict.fromkeys(("image", "a", "b"), 256), **words, **tokens}


def noise(experiment: Experiment, config: Any) -> DataSet:
    """Returns random examples with the shapes of the config's data set; a step takes as long as on real data.

    Raises:
      ConfigError: the shapes are known from the data alone.
    """
    like = experiment.spec(config)
    if like is None:
        raise ConfigError("experiment", experiment.name, f"the shapes of {config.dataset} are known from the data only")
    rng = np.random.default_rng(0)
    ends = _ends(like)
    example = like.train.take(np.zeros(1, int))
    count = min(ROWS, LARGEST // sum(array.nbytes for array in example.values()))
    rows = {
        name: rng.integers(0, ends.get(name, 10), (count, *array.shape[1:])).astype(array.dtype)
        for name, array in example.items()
    }
    return dataclasses.replace(like, train=ArraySource(rows))


def seconds_in_loop(experiment: Experiment, config: Any, steps: int, windows: int) -> list[float]:
    """Returns the wall-clock time of each window of `steps` steps in `core.loop.train`, including logging."""
    data = noise(experiment, config)
    devices = make_devices(config.parallel)
    marks = []

    def mark(state, step):
        marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as workdir:
        trained = loop.train(
            experiment.build(config, data, devices.axis_name),
            data,
            devices,
            Path(workdir),
            steps=steps * (windows + WARM_UP),
            batch_size=config.batch_size,
            seeds=config.seeds,
            log_every=steps,
            eval_every=steps,
            preview=mark,
        )
    if not trained.finished:
        raise KeyboardInterrupt
    return list(np.diff(marks)[WARM_UP - 1 :])


def seconds_of_seeds(experiment: Experiment, config: Any, steps: int, windows: int, kind: str) -> list[float]:
    """Returns the time of each window for `config.seeds` seeds in a bare compiled loop, by jax.vmap or lax.map."""
    data = noise(experiment, config)
    learner = experiment.build(config, data, None)
    rows = data.train.take(np.arange(config.batch_size * learner.batches_per_step))
    keys = jax.random.split(jax.random.key(0), config.seeds)
    state = jax.jit(jax.vmap(lambda key: learner.init(key, data.transform(rows))))(keys)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(state, rows):
        batch = data.transform(rows)

        def train_one(state, key):
            return lax.fori_loop(0, steps, lambda k, s: learner.step(s, batch, jax.random.fold_in(key, k))[0], state)

        if kind == "vmap":
            return jax.vmap(train_one)(state, keys)
        return lax.map(lambda args: train_one(*args), (state, keys))

    seconds = []
    for _ in range(windows + 1):
        began = time.perf_counter()
        state = jax.block_until_ready(run(state, rows))
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def _main(values: flags.FlagValues) -> None:
    experiment = registry.find(values.experiment)
    preset = experiment.preset(values.config)
    gates = {} if values.recurrent_activation is None else {"recurrent_activation": values.recurrent_activation}
    config = dataclasses.replace(preset, batch_size=values.batch_size, seeds=values.seeds, **gates)
    if values.seed_loop:
        seconds = seconds_of_seeds(experiment, config, values.steps, values.windows, values.seed_loop)
    else:
        seconds = seconds_in_loop(experiment, config, values.steps, values.windows)
    result = {"name": "gdl_jax", "ms_per_step": 1000 * statistics.median(seconds) / values.steps}
    sys.stdout.write(json.dumps(result) + "\n")


def main(argv=None) -> None:
    """Runs `python -m experiments.bench.step_time`."""
    values = command.new_flags()
    flags.DEFINE_enum("experiment", "vae", registry.NAMES, "experiment to time", flag_values=values)
    flags.DEFINE_string("config", None, "its preset [the first]", flag_values=values)
    flags.DEFINE_integer("batch_size", 32, "examples per batch", flag_values=values)
    flags.DEFINE_integer("steps", 100, "steps per window", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("windows", 5, "windows of the median", lower_bound=1, flag_values=values)
    flags.DEFINE_string("recurrent_activation", None, "of a recurrent cell's gates [the preset's]", flag_values=values)
    flags.DEFINE_integer("seeds", 1, "seeds to train together", lower_bound=1, flag_values=values)
    flags.DEFINE_enum("seed_loop", None, ["vmap", "map"], "time the seeds in a bare loop instead", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
