"""The experiment, a system as one value that every tool can use."""

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
from gdl_jax.core.loop import Start
from gdl_jax.data.dataset import DataSet, Source
from gdl_jax.runs.batches import in_batches
from gdl_jax.runs.config import RunConfig

EVALUATION_BATCH = 100  # rows per batch when computing held-out means
LOSS_BATCH = 1024  # rows per batch when computing losses

Results = Mapping[str, Any]  # snake_case names -> numbers, or texts; "protocol" -> {name: how it was measured}


class Network(NamedTuple):
    """A network of an experiment, with example inputs for its layer table.

    Attributes:
      module: called with the inputs and train=True or False.
      inputs: arrays or jax.ShapeDtypeStruct.
    """

    module: nn.Module
    inputs: tuple[Any, ...]


@dataclass(frozen=True)
class Run:
    """A run at some step, as passed to analyses, previews and samplers.

    Attributes:
      config: the experiment's config.
      data: its data set.
      learner: the result of `Experiment.build`.
      state: the learner's state (of the first seed if there are several).
      key: key for all randomness of the analysis; the same for the same run.
      step: updates made so far.
      figures: the directory for PNGs; exists.
      split: held-out split that samples are compared with: "test"; during training "validation", if there is one.
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
        """Returns the loss of each row of a source in evaluation mode, (N,)."""
        evaluate = jax.jit(
            lambda state, rows: self.learner.evaluate(state, self.data.transform(rows), self.key)["loss"]
        )
        return in_batches(lambda index: evaluate(self.state, source.take(index)), np.arange(len(source)), LOSS_BATCH)


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of sampling besides the number of samples; a sampler's own options inherit from this.

    Fields become flags of `experiments.sample`, like those of a config: comments are help, annotations are checked.

    Raises:
      ConfigError: a field has a value that its annotation forbids.
    """

    def __post_init__(self):
        config_flags.check(self)


@dataclass(frozen=True)
class SampleRequest:
    """A user's request to `experiments.sample`.

    Attributes:
      out: output directory; exists.
      num: number of samples.
      options: the sampler's own options.
    """

    out: Path
    num: int
    options: Any = SampleOptions()


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Sampling method of an experiment.

    Attributes:
      sample: writes files and returns their paths.
      options: default values of the options of `sample`.
      num: default number of samples.
    """

    sample: Callable[[Run, SampleRequest], list[Path]]
    options: SampleOptions = SampleOptions()
    num: int = 64


class SampleEvaluator(NamedTuple):
    """Measure of sample quality.

    Attributes:
      protocol: description to state with the numbers: network, sample counts, resizing.
      num: number of samples to draw.
      evaluate: samples as returned by `SampleMetrics.draw` -> {"samples/NAME": number}.
      reference: {"KIND/NAME": number} to compare with, such as {"real_images/NAME": value for real images}; or {}.
    """

    protocol: str
    num: int
    evaluate: Callable[[Any], Mapping[str, float]]
    reference: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class SampleMetrics:
    """Measurement of an experiment's samples at each evaluation.

    Attributes:
      draw: (run, key, num) -> samples.
      evaluator: (config, data) -> evaluator of samples, or None if the config requests no metrics.
    """

    draw: Callable[[Run, jax.Array, int], Any]
    evaluator: Callable[[Any, DataSet], SampleEvaluator | None]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One system: its data, its learner, its figures and its results.

    Attributes:
      name: name of the system, also in the names of run folders.
      module: `__name__` of the module that defines it as EXPERIMENT; recorded in a run's folder for tools to import.
      presets: {--config name: config}, all of one frozen dataclass; the first is the default.
      load: config -> data set.
      spec: config -> a data set of one row with the shapes of the real one, for use without the data; None if the
        shapes depend on the data.
      networks: (config, data) -> {name: Network}, for layer tables and parameter counts.
      build: (config, data, axis_name) -> learner; axis_name is the pmapped axis or None.
      start: (config, data) -> a function from the initial state of a new run to the one to train from, such as one with
        published weights; or None for the initial state itself.
      export: (run, folder) -> paths of the trained network in files that other programs read; None: there are none.
      preview: called at each evaluation; saves one picture of samples.
      analyse: called after training; saves figures and returns results.
      sampler: sampling method; None if there is nothing to sample.
      sample_metrics: measurement of samples; None if they are not measured.
      splits: splits that `experiments.evaluate` accepts.
      evaluation_batch: rows per batch when held-out means are computed; less where a row needs much memory.
      headlines: names of the results that a report shows first.
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
    start: Callable[[Any, DataSet], Start | None] | None = None
    export: Callable[[Run, Path], list[Path]] | None = None
    sampler: Sampler | None = None
    sample_metrics: SampleMetrics | None = None
    splits: tuple[str, ...] = ("train", "validation", "test")
    headlines: tuple[str, ...] = ()
    evaluation_batch: int = EVALUATION_BATCH

    def __post_init__(self):
        kinds = {type(preset) for preset in self.presets.values()}
        if len(kinds) != 1 or not issubclass(kinds.copy().pop(), RunConfig):
            raise TypeError(f"{self.name}: presets must be one or more configs of one class derived from RunConfig")

    @property
    def config(self) -> type:
        """Class of the presets."""
        return type(next(iter(self.presets.values())))

    def preset(self, name: str | None) -> Any:
        """Returns the preset of a name, or the first if the name is None.

        Raises:
          ConfigError: unknown name.
        """
        name = name or next(iter(self.presets))
        if name not in self.presets:
            raise ConfigError("config", name, f"unknown; {self.name} has {', '.join(self.presets)}")
        return self.presets[name]

    def evaluator(self, config: Any, data: DataSet) -> SampleEvaluator | None:
        """Returns the evaluator of samples for a config, or None if samples are not measured."""
        return self.sample_metrics.evaluator(config, data) if self.sample_metrics else None
