"""Registry of the experiments, for the tools that work on any of them."""

import importlib
from typing import TYPE_CHECKING

from gdl_jax.core.errors import ConfigError

if TYPE_CHECKING:
    from gdl_jax.runs.experiment import Experiment  # imports JAX, which listing the commands does not need

MODULES = {
    **{
        name: f"experiments.{name}"
        for name in (
            *("naive_bayes", "classifier", "autoencoder", "vae", "gan", "wgan", "wgan_gp"),
            *("cyclegan", "pix2pix", "style_transfer", "fast_style"),
            *("text_rnn", "transformer", "bert", "bert_classifier", "bert_answers", "gpt2"),
            *("qa", "music_rnn", "phrase_rnn", "musegan", "musenet"),
        )
    },
    "world_vae": "experiments.worlds.vae",
    "world_memory": "experiments.worlds.mdn_rnn",
    "world_controller": "experiments.worlds.controller",
}
NAMES = tuple(MODULES)
PIPELINES = ("experiments.world_models",)  # commands that train several experiments in sequence


def find(name: str) -> "Experiment":
    """Returns the experiment of that name.

    Raises:
      ConfigError: unknown name.
    """
    if name not in MODULES:
        raise ConfigError("experiment", name, f"unknown; choose one of {', '.join(NAMES)}")
    return importlib.import_module(MODULES[name]).EXPERIMENT
