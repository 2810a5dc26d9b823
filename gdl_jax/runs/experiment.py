"""What a system of the book is made of, as one value that every tool can use."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gdl_jax.core.errors import UserError
from gdl_jax.core.learner import Learner, State
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import DataSet, Source
from gdl_jax.data.images import blank


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run needs; experiments add their own hyperparameters by inheriting from this and from others.

    LEAST holds the smallest value that each number may have, or each number of a list. NEEDS holds, of each option that
    does nothing without another, that other one: its name, or name=value. Experiments whose runs may end before `steps`
    make `patience` a field: as many evaluations without a lower "validation/loss"; 0: never.
    """

    dataset: str  # by name
    data_dir: str = ""  # where the data sets that are not bundled lie
    train_examples: int = 0  # train on the first N examples only; 0: all
    seed: int = 0  # decides initial parameters, batches and noise
    seeds: int = 1  # train this many replicas in one program, with seeds seed, seed + 1, ...
    steps: int = 1000  # updates in all
    batch_size: int = 32  # examples an update, over all devices
    log_every: int = 100  # steps between two rows of metrics.jsonl, each a mean over the steps between
    eval_every: int = 500  # steps between two passes over the held-out split; 0: at the end only
    checkpoint_every: int = 500  # steps between two checkpoints; 0: at the end only
    parallel: str = "jit"  # jit (sharded batch) or pmap (one replica of the body a device); same numbers
    precision: str = "f32"  # f32, or bf16 for the arithmetic of layers (parameters stay float32)

    patience: ClassVar[int] = 0
    NEEDS: ClassVar[Mapping[str, str]] = {}
    LEAST: ClassVar[Mapping[str, float]] = {
        "train_examples": 0,
        "steps": 1,
        "seeds": 1,
        "batch_size": 1,
        "log_every": 1,
        "eval_every": 0,
        "checkpoint_every": 0,
        "seed": 0,
        "patience": 0,
    }

    def __post_init__(self):
        for name, least in self.LEAST.items():
            value = getattr(self, name)
            if not all(number >= least for number in (value if isinstance(value, tuple) else (value,))):
                shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
                raise UserError(f"--{name}={shown}: must be at least {least}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"--{field.name}={value}: must be finite")
        if self.seed + self.seeds > 2**31:
            raise UserError(f"--seed={self.seed}: must be below {2**31 - self.seeds + 1}")
        if self.precision not in DTYPES:
            raise UserError(f"--precision={self.precision}: unknown; choose one of {', '.join(DTYPES)}")
        if self.patience and not self.eval_every:
            raise UserError(
                f"--patience={self.patience}: needs --eval_every of at least 1; --patience=0 never stops early"
            )


@dataclass(frozen=True, kw_only=True)
class ImageConfig(RunConfig):
    """What every run on images needs: what `load_data` is to make of its data set."""

    dataset: str = "digits"  # digits, avatars (bundled), mnist, cifar10, celeba, folder:PATH, npz:PATH, tfds:NAME
    image_size: int = 0  # resize images to this many pixels a side; 0: as stored
    validation_examples: int = 0  # hold out N training examples for validation; 0: the set's own validation split
    avatars: int = 10_000  # how many faces the bundled set `avatars` has

    LEAST = RunConfig.LEAST | {"image_size": 0, "validation_examples": 0, "avatars": 10}
    NEEDS = RunConfig.NEEDS | {"avatars": "dataset=avatars"}


AT_ONCE = 1024  # rows whose losses are computed together
DTYPES = {"f32": jnp.float32, "bf16": jnp.bfloat16}
MAY_CHANGE_ON_RESUME = (
    *("data_dir", "steps", "log_every", "eval_every", "checkpoint_every", "parallel"),
    *("features", "judged_samples"),  # who judges the samples, which training never sees
    *("note_temperature", "duration_temperature", "reread", "beams"),  # how samples are drawn, outside training
)


def check_effects(config: RunConfig, preset: RunConfig) -> None:
    """Refuses what was changed of a preset though it has no effect, as NEEDS says.

    Raises:
      UserError: names the option and what it needs.
    """
    for name, needed in config.NEEDS.items():
        other, equals, value = needed.partition("=")
        there = str(getattr(config, other)) == value if equals else bool(getattr(config, other))
        if not there and getattr(config, name) != getattr(preset, name):
            raise UserError(f"--{name}={getattr(config, name)}: has no effect without --{needed}")


class Part(NamedTuple):
    """A network of an experiment, and example inputs (arrays or jax.ShapeDtypeStruct) for its layer table."""

    module: nn.Module
    inputs: tuple[Any, ...]


@dataclass(frozen=True)
class Run:
    """A run at some step: what analyses, previews and samplers are given.

    Attributes:
      config: the experiment's config.
      data: its data set.
      learner: what `Experiment.build` made.
      state: the learner's state (of the first replica where there are several).
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
        """The loss of each row of a source (N,), in evaluation mode."""
        evaluate, rows = jax.jit(self.learner.evaluate), np.arange(len(source))
        parts = (source.take(rows[first : first + AT_ONCE]) for first in range(0, len(rows), AT_ONCE))
        batches = map(self.data.transform, parts)
        return np.concatenate([np.asarray(evaluate(self.state, batch, self.key)["loss"]) for batch in batches])


@dataclass(frozen=True)
class SampleRequest:
    """What a user asked `experiments.sample` for.

    Attributes:
      out: directory for what is made; exists.
      num: how many samples.
      images: files or one folder to encode, edit and morph instead of sampling.
      edits: attribute -> factor, from --edit=Eyeglasses:2.
      morph: morph between consecutive images.
      prompt: what the samples go on from.
      temperature, top_k, top_p: how boldly what comes next is drawn; see `nn.sampling.sample_logits`.
    """

    out: Path
    num: int
    images: tuple[Path, ...] = ()
    edits: Mapping[str, float] | None = None
    morph: bool = False
    prompt: str = ""
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


class Judge(NamedTuple):
    """What says how good samples are.

    Attributes:
      protocol: network, sample counts, resizing: what to name beside the numbers.
      samples: how many it is to be shown.
      of_samples: what `Experiment.draw` returns, as images (N, H, W, C) in [0, 1] -> {"samples/NAME": number}.
      reference: {"KIND/NAME": number}, what to compare with, as {"real images/NAME": what it says of them}; or {}.
    """

    protocol: str
    samples: int
    of_samples: Callable[[Any], Mapping[str, float]]
    reference: Mapping[str, float] = MappingProxyType({})


class Experiment(NamedTuple):
    """One system: what to train on, what to train, and what to show of it.

    Attributes:
      name: as in `python -m experiments.NAME`.
      config: its frozen dataclass.
      presets: --config names -> configs; the first is the default.
      build: (config, data, axis_name) -> learner; axis_name is the pmapped axis or None.
      parts: (config, data) -> {name: Part}, the networks for layer tables and counts.
      analyse: after training: writes figures, returns numbers for results.json.
      preview: at each evaluation: writes one picture of samples.
      sample: for `experiments.sample`: writes files, returns their paths.
      load: config -> data set.
      judge: (config, data) -> what measures samples at each evaluation, or None where nothing does.
      draw: (run, key, num) -> samples for the judge.
      blank: config -> one row with the shapes of its data set, for counting where that is not at hand; None if only the
        set itself knows them.
      splits: those that `experiments.evaluate` may be asked for.
      samples: how many `experiments.sample` makes where it isn't told.
      takes: flags of `experiments.sample`, besides --num and --seed, that `sample` understands; the others are refused.
    """

    name: str
    config: type
    presets: Mapping[str, Any]
    build: Callable[[Any, DataSet, str | None], Learner]
    parts: Callable[[Any, DataSet], dict[str, Part]]
    analyse: Callable[[Run], dict[str, float]]
    preview: Callable[[Run], None]
    sample: Callable[[Run, SampleRequest], list[Path]]
    load: Callable[[Any], DataSet]
    judge: Callable[[Any, DataSet], Judge | None] = lambda config, data: None
    draw: Callable[[Run, jax.Array, int], Any] | None = None
    blank: Callable[[Any], DataSet | None] = lambda config: blank.blank(config.dataset, config.image_size)
    splits: tuple[str, ...] = ("train", "validation", "test")
    samples: int = 64
    takes: tuple[str, ...] = ()


def preset(experiment: Experiment, name: str | None) -> Any:
    """Returns the config that `name` names; the experiment's first where it is None.

    Raises:
      UserError: there is none of that name.
    """
    name = name or next(iter(experiment.presets))
    if name not in experiment.presets:
        raise UserError(f"--config={name}: unknown; {experiment.name} has {', '.join(experiment.presets)}")
    return experiment.presets[name]


def load_data(config: ImageConfig) -> DataSet:
    """The data set of images that the config names.

    Raises:
      UserError: unknown name, missing files, or unreadable ones.
    """
    return catalogue.load(
        config.dataset,
        data_dir=config.data_dir or None,
        image_size=config.image_size or None,
        train_examples=config.train_examples,
        validation_examples=config.validation_examples,
        avatars=config.avatars,
    )


def image_spec(data: DataSet) -> jax.ShapeDtypeStruct:
    """Shape and dtype of one image as a network sees it: (1, H, W, C)."""
    row = data.train.take(np.zeros(1, np.int64))
    return jax.eval_shape(data.transform, row)["image"]


def image_batches(
    data: DataSet, source: Source, size: int, limit: int | None = None
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """The first rows of a split, at most `limit`, `size` at a time: (rows as stored, images (B, H, W, C) in [0, 1])."""
    count = len(source) if limit is None else min(limit, len(source))
    for first in range(0, count, size):
        rows = source.take(np.arange(first, min(first + size, count)))
        yield rows, np.asarray(data.transform(rows)["image"])
