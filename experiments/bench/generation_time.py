"""Times text generation by the book's LSTM, in tokens per second; also by Keras, to compare.

    python -m experiments.bench.generation_time                 ours, for each of --batch_sizes
    python -m experiments.bench.generation_time --backend=jax   Keras's, by `experiments.bench.peers.keras_text`

Prints one line of JSON for each batch size. Ours carries the state over and reads each word once; with --reread it
recomputes the state from the whole window for each word, as the book's code and the Keras peer do. Both have sigmoid
gates. Each rate is the median over windows of TOKENS tokens of every text, after one that compiles.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
from absl import flags

from experiments import text_rnn
from experiments.benchmarks import environment
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.sampling import SamplingConfig
from gdl_jax.runs import command

TOKENS = 200


def tokens_per_second(config: text_rnn.Config, texts: int, windows: int) -> float:
    """Returns the rate for a batch of `texts` texts, with an untrained network of the book's vocabulary size."""
    data = text_rnn.spec(config)
    learner = text_rnn.build(config, data, None)
    state = jax.jit(learner.init)(jax.random.key(0), data.train.take(np.zeros(1, np.int64)))
    context = np.full(config.sequence_length, 1, np.int32)
    sampling = SamplingConfig(1.0)
    seconds = []
    for window in range(windows + 1):
        began = time.perf_counter()
        jax.block_until_ready(learner.sample(state, jax.random.key(window), texts, context, TOKENS, sampling))
        seconds.append(time.perf_counter() - began)
    return texts * TOKENS / statistics.median(seconds[1:])


def _time_keras(backend: str, texts: int, windows: int) -> None:
    module = ["-m", "experiments.bench.peers.keras_text", f"--backend={backend}"]
    more = ["--model=text_rnn", f"--batch_size={texts}", f"--steps={TOKENS}", f"--windows={windows}"]
    done = subprocess.run([sys.executable, *module, *more], env=environment())
    if done.returncode:
        raise ConfigError("backend", backend, "Keras failed")


def _main(values: flags.FlagValues) -> None:
    sizes = [int(size) for size in values.batch_sizes if size.isdecimal() and len(size) < 10 and int(size) > 0]
    if not sizes or len(sizes) != len(values.batch_sizes):
        raise ConfigError("batch_sizes", values.batch_sizes, "must be integers of at least 1")
    config = dataclasses.replace(text_rnn.PRESETS["aesop"], reread=values.reread, recurrent_activation="sigmoid")
    for texts in sizes:
        if values.backend:
            _time_keras(values.backend, texts, values.windows)
        else:
            rate = tokens_per_second(config, texts, values.windows)
            sys.stdout.write(json.dumps({"name": "gdl_jax", "texts": texts, "tokens_per_second": rate}) + "\n")
        sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.bench.generation_time`."""
    values = command.new_flags()
    flags.DEFINE_list("batch_sizes", ["1", "64"], "texts per batch", flag_values=values)
    flags.DEFINE_integer("windows", 5, "windows of the median", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("reread", False, "recompute the state from the window for each token", flag_values=values)
    backends = ["jax", "torch", "tensorflow"]
    flags.DEFINE_enum("backend", None, backends, "time Keras on this backend instead", flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
