"""Configs of a study's runs, without training."""

from absl import flags

from gdl_jax.core import config_flags


def configs_of(study, options):
    """Returns {variant: config made from its flags}; raises for flags without effect, as a run does."""
    return {variant.name: _config(study, options, variant) for variant in study.variants(options)}


def _config(study, options, variant):
    values, experiment = flags.FlagValues(), variant.experiment
    flags.DEFINE_string("config", next(iter(experiment.presets)), "", flag_values=values)
    config_flags.define(experiment.preset(None), values)
    values(["program", *study.flags(options, variant), *variant.flags])
    preset = experiment.preset(values.config)
    config = type(preset)(**vars(preset) | config_flags.chosen(type(preset), values))
    config_flags.check_effects(config, preset)
    return config
