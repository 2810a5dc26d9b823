"""Prints the layers and parameter counts of any experiment; needs data only where their vocabulary decides the sizes.

    python -m experiments.summary --experiment=vae --config=faces
    python -m experiments.summary --experiment=qa --config=squad --data_dir=D

Prints the layers of each network, its parameter count, and the totals. Counts include running statistics, as in Keras;
these are the parameters that are not trainable.
"""

import dataclasses
import sys

from absl import flags

from experiments import registry
from gdl_jax.runs import command
from gdl_jax.runs.summary import summary


def _main(values: flags.FlagValues) -> None:
    experiment = registry.find(values.experiment)
    config = dataclasses.replace(experiment.preset(values.config), data_dir=values.data_dir)
    sys.stdout.write(summary(experiment, config))


def main(argv=None) -> None:
    """Runs `python -m experiments.summary`."""
    values = command.new_flags()
    flags.DEFINE_string("experiment", "vae", f"one of {', '.join(registry.NAMES)}", flag_values=values)
    flags.DEFINE_string("config", None, "preset [the experiment's first]", flag_values=values)
    about = "folder of the data, for presets whose vocabulary is computed from them"
    flags.DEFINE_string("data_dir", "", about, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
