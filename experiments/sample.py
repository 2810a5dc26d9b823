"""Samples from any run, and edits of one's own images where the model has an encoder.

python -m experiments.sample --workdir=runs/vae-digits --num=64
python -m experiments.sample --workdir=runs/vae-faces --images=my_photos --edit=Eyeglasses:2
python -m experiments.sample --workdir=runs/vae-faces --images=my_photos --morph
python -m experiments.sample --workdir=runs/text_rnn-small --prompt="my dear" --temperature=0.5

What a run's samples can be told is its experiment's: `--workdir=... --help` lists it.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags

from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.runs import command
from gdl_jax.runs.experiment import SampleRequest
from gdl_jax.runs.restore import restore

LARGEST_SEED = 2**31 - 1


def _main(values: flags.FlagValues) -> None:
    workdir = command.workdir(values)
    experiment, run, _ = restore(workdir, warn=command.warn)
    sampler = experiment.sampler
    if sampler is None:
        raise UserError(f"{workdir}: {experiment.name} has nothing to sample")
    options = dataclasses.replace(sampler.options, **config_flags.chosen(type(sampler.options), values))
    out = Path(values.out) if values.out else workdir / "samples"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("out", out, f"cannot be made: {error.strerror}") from error
    run = dataclasses.replace(run, key=jax.random.key(values.seed))
    num = sampler.num if values.num is None else values.num
    for path in sampler.sample(run, SampleRequest(out, num, options)):
        sys.stdout.write(f"{path}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.sample`."""
    argv = sys.argv if argv is None else argv
    found = command.experiment_of_workdir(argv)
    sampler = found.experiment.sampler if found else None
    shown = f"[{sampler.num}]" if sampler else "[the experiment's own number]"
    values = command.new_flags()
    flags.DEFINE_string("workdir", None, "the run's directory", flag_values=values)
    flags.DEFINE_integer("num", None, f"how many samples {shown}", lower_bound=1, flag_values=values)
    about = "decides which samples are drawn"
    flags.DEFINE_integer("seed", 0, about, lower_bound=0, upper_bound=LARGEST_SEED, flag_values=values)
    flags.DEFINE_string("out", None, "directory for what is made [WORKDIR/samples]", flag_values=values)
    if sampler:
        config_flags.define(sampler.options, values)
    command.run(_main, __doc__, values, argv)


if __name__ == "__main__":
    main()
