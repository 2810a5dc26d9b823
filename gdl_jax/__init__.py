"""Generative models as a functional JAX codebase: a way of training is a value, and one loop trains them all.

The names below are what a program of one's own needs; everything else is in the subpackages. Importing this package
imports nothing else: each name is imported when it is first used.

    run = gdl_jax.restore("runs/vae-digits")
    images = run.learner.sample(run.state, run.key, 16)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdl_jax.core.errors import ConfigError, UserError
    from gdl_jax.core.learner import Learner
    from gdl_jax.core.loop import TrainResult
    from gdl_jax.data.dataset import ArraySource, DataSet
    from gdl_jax.learners.adversarial import adversarial
    from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
    from gdl_jax.learners.supervised import classifier
    from gdl_jax.learners.variational import vae
    from gdl_jax.runs.config import ImageConfig, RunConfig
    from gdl_jax.runs.experiment import Experiment, Network, Run, SampleMetrics, Sampler, SampleRequest
    from gdl_jax.runs.images import data_spec, load_data
    from gdl_jax.runs.main import main
    from gdl_jax.runs.scripting import restore, train

__version__ = "0.1.0"

_MODULES = {  # name -> module that has it
    **dict.fromkeys(("ConfigError", "UserError"), "core.errors"),
    "Learner": "core.learner",
    "TrainResult": "core.loop",
    **dict.fromkeys(("ArraySource", "DataSet"), "data.dataset"),
    "adversarial": "learners.adversarial",
    **dict.fromkeys(("OptimizerConfig", "make_optimizer"), "learners.optimizers"),
    "classifier": "learners.supervised",
    "vae": "learners.variational",
    **dict.fromkeys(("ImageConfig", "RunConfig"), "runs.config"),
    **dict.fromkeys(
        ("Experiment", "Network", "Run", "SampleMetrics", "SampleRequest", "Sampler"),
        "runs.experiment",
    ),
    **dict.fromkeys(("data_spec", "load_data"), "runs.images"),
    "main": "runs.main",
    **dict.fromkeys(("restore", "train"), "runs.scripting"),
}
__all__ = [
    "ArraySource",
    "ConfigError",
    "DataSet",
    "Experiment",
    "ImageConfig",
    "Learner",
    "Network",
    "OptimizerConfig",
    "Run",
    "RunConfig",
    "SampleMetrics",
    "SampleRequest",
    "Sampler",
    "TrainResult",
    "UserError",
    "__version__",
    "adversarial",
    "classifier",
    "data_spec",
    "load_data",
    "main",
    "make_optimizer",
    "restore",
    "train",
    "vae",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # so that this function is not asked again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
