"""The experiments by name, for the tools that work on any of them."""

import importlib

from gdl_jax.core.errors import UserError
from gdl_jax.runs.experiment import Experiment

MODULES = {
    **{
        name: f"experiments.{name}"
        for name in (
            *("naive_bayes", "classifier", "autoencoder", "vae", "gan", "wgan", "wgan_gp"),
            *("text_rnn", "qa", "music_rnn", "phrase_rnn", "musegan"),
        )
    },
    "world_vae": "experiments.worlds.vae",
    "world_memory": "experiments.worlds.mdn_rnn",
    "world_controller": "experiments.worlds.controller",
}
NAMES = tuple(MODULES)


def find(name: str) -> Experiment:
    """Returns the experiment of that name.

    Raises:
      UserError: there is none.
    """
    if name not in MODULES:
        raise UserError(f"--experiment={name}: unknown; choose one of {', '.join(NAMES)}")
    return importlib.import_module(MODULES[name]).EXPERIMENT
