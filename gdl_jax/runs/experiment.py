"""A system of the book as one value that every tool can use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner, State
from gdl_jax.data.dataset import DataSet, Source
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import RunConfig

LOSS_BATCH = 1024  # rows whose losses are computed together

Results = Mapping[str, Any]  # snake_case names -> numbers, or texts; "protocol" -> {name: how it was measured}


class Network(NamedTuple):
    """A network of an experiment, and example inputs for its layer table.

    Attributes:
      module: is called with the inputs and train=True or False.
      inputs: arrays or jax.ShapeDtypeStruct.
    """

    module: nn.Module
    inputs: tuple[Any, ...]


@dataclass(frozen=True)
class Run:
    """A run at some step: what analyses, previews and samplers are given.

    Attributes:
      config: the experiment's config.
      data: its data set.
      learner: what `Experiment.build` made.
      state: the learner's state (of the first seed where there are several).
      key: for whatever randomness the analysis needs; the same for the same run.
      step: updates made so far.
      figures: the directory for PNGs; exists.
      split: the held-out one that samples are compared with: "test", but while training goes on "validation" where
        there is one.
    """

    config: Any
    data: DataSet
    learner: Learner
    state: State
    key: jax.Array
    step: int
    figures: Path
    split: str = "test"

    def losses(self, source: Source) -> np.ndarray:
        """Returns the loss of each row of a source (N,), in evaluation mode."""
        evaluate = jax.jit(
            lambda state, rows: self.learner.evaluate(state, self.data.transform(rows), self.key)["loss"]
        )
        return in_batches(lambda index: evaluate(self.state, source.take(index)), np.arange(len(source)), LOSS_BATCH)


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What a user may say of samples, besides how many; a sampler's own options inherit from this.

    Fields are flags of `experiments.sample`, as those of a config are: comments are help, annotations are checked.

    Raises:
      ConfigError: a field has a value that its annotation forbids.
    """

    def __post_init__(self):
        config_flags.check(self)


@dataclass(frozen=True)
class SampleRequest:
    """What a user asked `experiments.sample` for.

    Attributes:
      out: directory for what is made; exists.
      num: how many samples.
      options: the sampler's own.
    """

    out: Path
    num: int
    options: Any = SampleOptions()


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How an experiment's samples are made.

    Attributes:
      sample: writes files, returns their paths.
      options: defaults of the options that `sample` understands.
      num: how many samples `experiments.sample` makes where the user doesn't say.
    """

    sample: Callable[[Run, SampleRequest], list[Path]]
    options: SampleOptions = SampleOptions()
    num: int = 64


class SampleEvaluator(NamedTuple):
    """A measure of how good samples are.

    Attributes:
      protocol: network, sample counts, resizing: what to name beside the numbers.
      num: how many samples it takes.
      evaluate: samples as `SampleMetrics.draw` returns them -> {"samples/NAME": number}.
      reference: {"KIND/NAME": number}, what to compare with, as {"real_images/NAME": the same of real images}; or {}.
    """

    protocol: str
    num: int
    evaluate: Callable[[Any], Mapping[str, float]]
    reference: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class SampleMetrics:
    """How good an experiment's samples are, at each evaluation.

    Attributes:
      draw: (run, key, num) -> samples.
      evaluator: (config, data) -> what measures them, or None where the config asks for nothing.
    """

    draw: Callable[[Run, jax.Array, int], Any]
    evaluator: Callable[[Any, DataSet], SampleEvaluator | None]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One system: what to train on, what to train, and what to show of it.

    Attributes:
      name: identifies the system; names run folders.
      module: `__name__` of the module that has it as EXPERIMENT; a run's folder records it, so that tools find it.
      presets: --config names -> configs, all of one frozen dataclass; the first is the default.
      load: config -> data set.
      spec: config -> a data set of one row with the shapes of its own, for counting where that is not at hand; None if
        only the set itself knows them.
      networks: (config, data) -> {name: Network}, for layer tables and counts.
      build: (config, data, axis_name) -> learner; axis_name is the pmapped axis or None.
      preview: at each evaluation: writes one picture of samples.
      analyse: after training: writes figures, returns results.
      sampler: how samples are made; None: there is nothing to sample.
      sample_metrics: how samples are measured; None: they are not.
      splits: those that `experiments.evaluate` may be asked for.
      headlines: names of results that a report shows first.
    """

    name: str
    module: str
    presets: Mapping[str, Any]
    load: Callable[[Any], DataSet]
    spec: Callable[[Any], DataSet | None]
    networks: Callable[[Any, DataSet], dict[str, Network]]
    build: Callable[[Any, DataSet, str | None], Learner]
    preview: Callable[[Run], None]
    analyse: Callable[[Run], Results]
    sampler: Sampler | None = None
    sample_metrics: SampleMetrics | None = None
    splits: tuple[str, ...] = ("train", "validation", "test")
    headlines: tuple[str, ...] = ()

    def __post_init__(self):
        kinds = {type(preset) for preset in self.presets.values()}
        if len(kinds) != 1 or not issubclass(kinds.copy().pop(), RunConfig):
            raise TypeError(f"{self.name}: presets must be one or more configs of one class derived from RunConfig")

    @property
    def config(self) -> type:
        """The class of the presets."""
        return type(next(iter(self.presets.values())))

    def preset(self, name: str | None) -> Any:
        """Returns the config of that name, or the first where it is None.

        Raises:
          ConfigError: there is none of that name.
        """
        name = name or next(iter(self.presets))
        if name not in self.presets:
            raise ConfigError("config", name, f"unknown; {self.name} has {', '.join(self.presets)}")
        return self.presets[name]

    def evaluator(self, config: Any, data: DataSet) -> SampleEvaluator | None:
        """Returns what measures samples under a config, or None where nothing does."""
        return self.sample_metrics.evaluator(config, data) if self.sample_metrics else None
