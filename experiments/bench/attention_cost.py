"""Memory and time of a transformer's update by attention pattern and length (the point of Child et al. 2019).

    python -m experiments.bench.attention_cost
    python -m experiments.bench.attention_cost --lengths=512,1024,2048,4096,8192 --stride=64

Prints a table: for each length, seconds of an update of a GPT on one sequence, and the temporary memory that its
program needs as compiled, with dense (causal), strided and fixed attention. Times are medians over updates after the
first.
"""

import statistics
import sys
import time
from collections.abc import Sequence

import jax
import optax
from absl import flags

from gdl_jax.core.errors import ConfigError
from gdl_jax.learners.sequence import autoregressive, token_losses
from gdl_jax.models import gpt
from gdl_jax.runs import command
from gdl_jax.runs.tables import as_table

PATTERNS = ("causal", "strided", "fixed")
VOCABULARY = 4133  # tokens, as for 26 composers
SIZE = {"layers": 2, "heads": 4, "width": 128, "dropout_rate": 0.0}


def cost(pattern: str, length: int, stride: int, summary: int, updates: int) -> tuple[float, float]:
    """Returns the seconds of an update with one sequence of `length` tokens, and its temporary memory in MiB."""
    config = gpt.Config(
        **SIZE, context=length, attention=pattern, attention_stride=stride, attention_summary=min(summary, stride)
    )
    learner = autoregressive(
        gpt.GPT(config, VOCABULARY),
        optax.adamw(1e-3),
        streams=("tokens",),
        losses=token_losses,
        generate=gpt.generate_from_padded,
    )
    key = jax.random.key(0)
    batch = {"tokens": jax.random.randint(key, (1, length + 1), 0, VOCABULARY)}
    state = jax.jit(learner.init)(key, batch)
    step = jax.jit(learner.step, donate_argnums=0).lower(state, batch, key).compile()
    memory = step.memory_analysis()
    seconds = []
    for _ in range(updates + 1):
        began = time.perf_counter()
        state, _ = jax.block_until_ready(step(state, batch, key))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:]), memory.temp_size_in_bytes / 2**20


def _main(values: flags.FlagValues) -> None:
    lengths = [int(length) for length in values.lengths if length.isdecimal() and 1 <= int(length) <= 2**20]
    if not lengths or len(lengths) != len(values.lengths):
        raise ConfigError("lengths", values.lengths, "must be integers of at least 1")
    rows = []
    for length in lengths:
        cells = []
        for pattern in PATTERNS:
            sys.stderr.write(f"measuring: {pattern}, {length} tokens\n")
            seconds, mebibytes = cost(pattern, length, values.stride, values.summary, values.updates)
            cells += [f"{seconds:.3g}", f"{mebibytes:,.0f}"]
        rows.append([f"{length:,}", *cells])
    header = [text for pattern in PATTERNS for text in (f"{pattern}, s", f"{pattern}, MiB")]
    size = ", ".join(f"{name} {value}" for name, value in SIZE.items())
    sys.stdout.write(f"{jax.devices()[0].device_kind}; {size}; stride {values.stride}, summary {values.summary}\n\n")
    sys.stdout.write(as_table(["tokens", *header], rows))


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.bench.attention_cost`."""
    values = command.new_flags()
    flags.DEFINE_list("lengths", ["512", "1024", "2048", "4096"], "tokens of a sequence", flag_values=values)
    flags.DEFINE_integer("stride", 64, "stride, or block, of sparse patterns", lower_bound=1, flag_values=values)
    flags.DEFINE_integer(
        "summary", 8, "last tokens of a fixed block that later ones see", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer("updates", 5, "updates of the median", lower_bound=1, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
