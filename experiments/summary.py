"""Layer tables and costs of any experiment, without its data where these don't decide them.

    python -m experiments.summary --experiment=vae --config=faces
    python -m experiments.summary --experiment=qa --config=squad --data_dir=D

prints the layers of each network, each network's count, and the totals. Counts include running statistics, as Keras
counts them; these are what is not trainable.
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
    """Does what `python -m experiments.summary` does."""
    values = command.new_flags()
    flags.DEFINE_string("experiment", "vae", f"one of {', '.join(registry.NAMES)}", flag_values=values)
    flags.DEFINE_string("config", None, "preset; the experiment's first if not given", flag_values=values)
    about = "where the data lie, for presets whose vocabulary only these know"
    flags.DEFINE_string("data_dir", "", about, flag_values=values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
