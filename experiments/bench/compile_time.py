"""Times the compilation of an update of a GPT, with a compiled loop over its layers and without.

    python -m experiments.bench.compile_time        12 layers with and without the loop, 4 and 48 with it

Prints one line of JSON for each: the layers, those in an iteration of the loop (`--unroll` of gpt2; all: no loop), the
seconds to trace and lower the update, shapes of the initial state included, and the seconds that XLA takes to compile
it. All are the median over --repeats. Sizes other than the number of layers are those of GPT-2's smallest network, of
which 12 windows are a batch and no activations are computed again. The programs are not run, so no weights are made; a
network of one layer is compiled first, and the cache of compiled programs is off.
"""

import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import jax
from absl import flags

from experiments import gpt2
from gdl_jax.runs import command
from gdl_jax.runs.summary import trace_step

CASES = ((12, 1), (12, 12), (4, 1), (48, 1))  # layers, and layers of an iteration
BATCH_SIZE = 12


def seconds(layers: int, unroll: int) -> tuple[float, float]:
    """Returns the time to trace and lower an update, and the time to compile it."""
    fields = {"layers": layers, "unroll": unroll, "batch_size": BATCH_SIZE, "accumulate": 1, "remat": False}
    config = dataclasses.replace(gpt2.PRESETS["gpt2"], **fields)
    began = time.perf_counter()
    lowered = trace_step(gpt2.EXPERIMENT, config)[0].lower()
    done = time.perf_counter()
    lowered.compile()
    return done - began, time.perf_counter() - done


def measure(cases: Sequence[tuple[int, int]], repeats: int) -> Iterator[dict[str, float]]:
    """Yields the median times of each of `cases`."""
    seconds(1, 1)
    for layers, unroll in cases:
        lower, compile_ = map(statistics.median, zip(*(seconds(layers, unroll) for _ in range(repeats)), strict=True))
        yield {"layers": layers, "unroll": unroll, "lower_seconds": lower, "compile_seconds": compile_}


def _main(values: flags.FlagValues) -> None:
    jax.config.update("jax_enable_compilation_cache", False)
    for result in measure(CASES, values.repeats):
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.bench.compile_time`."""
    values = command.new_flags()
    flags.DEFINE_integer("repeats", 3, "compilations of each median", lower_bound=1, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
