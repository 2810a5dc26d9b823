"""The experiments by name, for the tools that work on any of them."""

import importlib
from typing import Any

from experiments.experiment import Experiment
from gdl_jax.core.errors import UserError

NAMES = (
    *("naive_bayes", "classifier", "autoencoder", "vae", "gan", "wgan", "wgan_gp"),
    *("text_rnn", "qa", "music_rnn", "phrase_rnn", "musegan"),
    *("world_vae", "world_memory", "world_controller"),
)


def find(name: str) -> Experiment:
    """The experiment `experiments/NAME.py`.

    Raises:
      UserError: there is none of that name.
    """
    if name not in NAMES:
        raise UserError(f"--experiment={name}: unknown; choose one of {', '.join(NAMES)}")
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def preset(experiment: Experiment, name: str | None) -> Any:
    """The config that `name` names; the experiment's first where it is None.

    Raises:
      UserError: there is none of that name.
    """
    name = name or next(iter(experiment.presets))
    if name not in experiment.presets:
        raise UserError(f"--config={name}: unknown; {experiment.name} has {', '.join(experiment.presets)}")
    return experiment.presets[name]
