"""Draws samples from any run; edits your own images where the model has an encoder.

python -m experiments.sample --workdir=runs/vae-digits --num=64
python -m experiments.sample --workdir=runs/vae-faces --images=my_photos --edit=Eyeglasses:2
python -m experiments.sample --workdir=runs/vae-faces --images=my_photos --morph
python -m experiments.sample --workdir=runs/text_rnn-small --prompt="my dear" --temperature=0.5

Each experiment has its own sampling flags: `--workdir=... --help` lists those of a run.
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


def _main(values: flags.FlagValues, found: command.NamedRun | None) -> None:
    workdir = command.workdir(values)
    experiment, run, _ = restore(workdir, warn=command.warn, moved=command.moved(found, values))
    sampler = experiment.sampler
    if sampler is None:
        raise UserError(f"{workdir}: {experiment.name} cannot be sampled")
    options = dataclasses.replace(sampler.options, **config_flags.chosen(type(sampler.options), values))
    out = Path(values.out) if values.out else workdir / "samples"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("out", out, f"cannot be created: {error.strerror}") from error
    run = dataclasses.replace(run, key=jax.random.key(values.seed))
    num = sampler.num if values.num is None else values.num
    for path in sampler.sample(run, SampleRequest(out, num, options)):
        sys.stdout.write(f"{path}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.sample`."""
    argv = sys.argv if argv is None else argv
    found = command.experiment_of_workdir(argv)
    sampler = found.experiment.sampler if found else None
    default = f"[{sampler.num}]" if sampler else "[the experiment's default]"
    values = command.new_flags()
    command.define_path("workdir", None, "the run's directory", values)
    flags.DEFINE_integer("num", None, f"number of samples {default}", lower_bound=1, flag_values=values)
    about = "seed of the samples"
    flags.DEFINE_integer("seed", 0, about, lower_bound=0, upper_bound=LARGEST_SEED, flag_values=values)
    command.define_path("out", None, "output directory [WORKDIR/samples]", values)
    if sampler:
        config_flags.define(sampler.options, values)
        command.define_moved(found, values)
    command.run(lambda values: _main(values, found), __doc__, values, argv)


if __name__ == "__main__":
    main()
