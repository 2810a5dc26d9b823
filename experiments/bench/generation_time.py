"""Times text generation by the book's LSTM and by GPTs, in tokens per second; also by their peers, to compare.

    python -m experiments.bench.generation_time                 the LSTM, for each of --batch_sizes
    python -m experiments.bench.generation_time --backend=jax   Keras's, by `experiments.bench.peers.keras_text`
    python -m experiments.bench.generation_time --model=gpt --batch_sizes=1,16     6 layers of 384, 65 characters
    python -m experiments.bench.generation_time --model=gpt2 --batch_sizes=1,16    12 layers of 768, 50,257 tokens
    python -m experiments.bench.generation_time --model=gpt2 --batch_sizes=1,16 --backend=hugging_face
                                                `generate` of transformers, by `peers.hugging_face_generation`

Prints one line of JSON for each batch size. Our LSTM carries its state over and reads each word once; with --reread it
recomputes the state from the whole window for each word, as the book's code and the Keras peer do. Both have sigmoid
gates. The GPTs are GPT-2's network, float32, with a cache in ours and in the peer; they continue a prompt of 16 tokens.
Weights are random, and tokens are sampled at temperature 1. Each rate is the median over windows of TOKENS tokens of
every text, the prompt's reading included, after one that compiles.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments import gpt2, text_rnn
from experiments.bench.peers import timing
from experiments.benchmarks import environment
from gdl_jax.core.errors import ConfigError
from gdl_jax.nn.sampling import SamplingConfig
from gdl_jax.runs import command

TOKENS = 200
LSTM = "text_rnn"
KERAS, HUGGING_FACE = ("jax", "torch", "tensorflow"), "hugging_face"


def network(model: str, reread: bool) -> tuple[Any, Any, Any]:
    """Returns the experiment and config of a model, and what its texts begin with."""
    if model == LSTM:
        config = dataclasses.replace(text_rnn.PRESETS["aesop"], reread=reread, recurrent_activation="sigmoid")
        return text_rnn, config, np.ones(config.sequence_length, np.int32)
    sizes = timing.GENERATORS[model]._asdict()
    vocabulary, rate = sizes.pop("vocabulary"), sizes.pop("dropout")
    config = dataclasses.replace(gpt2.PRESETS["gpt2"], tokenizer=f"bpe:{vocabulary}", dropout_rate=rate, **sizes)
    return gpt2, config, (np.ones(timing.PROMPT, np.int32), np.array([timing.PROMPT], np.int32))


def tokens_per_second(model: str, reread: bool, texts: int, windows: int) -> float:
    """Returns the rate for a batch of `texts` texts, with an untrained network."""
    experiment, config, context = network(model, reread)
    data = experiment.spec(config)
    learner = experiment.build(config, data, None)
    state = jax.jit(learner.init)(jax.random.key(0), data.train.take(np.zeros(1, np.int64)))
    sampling = SamplingConfig(1.0)
    seconds = []
    for window in range(windows + 1):
        began = time.perf_counter()
        jax.block_until_ready(learner.sample(state, jax.random.key(window), texts, context, TOKENS, sampling))
        seconds.append(time.perf_counter() - began)
    return texts * TOKENS / statistics.median(seconds[1:])


def _time_peer(model: str, backend: str, texts: int, windows: int) -> None:
    module = ["keras_text", f"--backend={backend}"] if model == LSTM else ["hugging_face_generation"]
    more = [f"--model={model}", f"--batch_size={texts}", f"--steps={TOKENS}", f"--windows={windows}"]
    command_line = [sys.executable, "-m", f"experiments.bench.peers.{module[0]}", *module[1:], *more]
    if subprocess.run(command_line, env=environment()).returncode:
        raise ConfigError("backend", backend, "the peer failed")


def _check(model: str, backend: str | None, reread: bool) -> None:
    """Raises ConfigError for flags of another model."""
    peers = KERAS if model == LSTM else (HUGGING_FACE,)
    if backend and backend not in peers:
        raise ConfigError("backend", backend, f"is no peer of {model}; choose one of {', '.join(peers)}")
    if reread and model != LSTM:
        raise ConfigError("reread", reread, f"is for {LSTM}")


def _main(values: flags.FlagValues) -> None:
    sizes = [int(size) for size in values.batch_sizes if size.isdecimal() and len(size) < 10 and int(size) > 0]
    if not sizes or len(sizes) != len(values.batch_sizes):
        raise ConfigError("batch_sizes", values.batch_sizes, "must be integers of at least 1")
    _check(values.model, values.backend, values.reread)
    for texts in sizes:
        if values.backend:
            _time_peer(values.model, values.backend, texts, values.windows)
        else:
            rate = tokens_per_second(values.model, values.reread, texts, values.windows)
            sys.stdout.write(json.dumps({"name": "gdl_jax", "texts": texts, "tokens_per_second": rate}) + "\n")
        sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.bench.generation_time`."""
    values = command.new_flags()
    flags.DEFINE_list("batch_sizes", ["1", "64"], "texts per batch", flag_values=values)
    flags.DEFINE_integer("windows", 5, "windows of the median", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("reread", False, "recompute the state from the window for each token", flag_values=values)
    models, about = [LSTM, *timing.GENERATORS], "time the peer instead: Keras on a backend, or transformers"
    flags.DEFINE_enum("model", LSTM, models, "network that writes", flag_values=values)
    flags.DEFINE_enum("backend", None, [*KERAS, HUGGING_FACE], about, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
