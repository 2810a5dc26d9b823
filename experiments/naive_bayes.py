"""Naive Bayes (book chapter 1): fashions of planet Wrodl, and faces pixel by pixel.

    python -m experiments.naive_bayes                      ten new fashions; p = 0.0054 for the book's example; 1 minute
    python -m experiments.naive_bayes --model=multinomial  the book's first model, which can only repeat its data
    python -m experiments.naive_bayes --smoothing=1        unseen fashions become possible
    python -m experiments.naive_bayes --config=pixels      ten bad faces: pixels are not independent; 1 minute

Minutes are those of two CPU cores. Training takes seconds; `pixels` renders its faces the first time. Look at
`figures/new_fashions.png` and `figures/faces.png`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet, first_examples
from gdl_jax.data.images import avatars, palette, wrodl
from gdl_jax.learners.count_mle import count_mle
from gdl_jax.models import naive_bayes
from gdl_jax.plots.avatars import captioned
from gdl_jax.plots.bars import probability_bars
from gdl_jax.plots.images import image_grid, rows
from gdl_jax.runs.config import ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.images import data_spec, image_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, naive_bayes.Config):
    dataset: str = "wrodl"  # wrodl (bundled), or any set of images; each pixel becomes a feature of 256 values


PRESETS = {
    "wrodl": Config(steps=1, batch_size=50, log_every=1, eval_every=1, checkpoint_every=1),
    "pixels": Config(
        dataset="avatars",
        image_size=32,
        smoothing=0.01,  # a test face may have a colour at a pixel that no training face has there
        steps=16,  # one pass over 8,000 faces
        batch_size=500,
        log_every=1,
        eval_every=4,
        checkpoint_every=16,
    ),
    "tiny": Config(smoothing=1.0, steps=2, batch_size=25, log_every=1, eval_every=1, checkpoint_every=1),
}
COLORS = 256  # of the palette (book: of planet Pixel)
PALETTE_IMAGES = 500  # training images from which the palette is computed
SHOWN = 10
AVATAR_SIZE = 256


def load(config: Config) -> DataSet:
    """Returns the Wrodl table, or images.

    Raises:
      UserError: as `load_data`; a field does not apply to the table.
    """
    if config.dataset != "wrodl":
        return load_data(config)
    for name in ("image_size", "validation_examples"):
        if value := getattr(config, name):
            raise ConfigError(name, value, "not supported by wrodl: fifty training rows, no images")
    return first_examples(wrodl.load(), config.train_examples)


def _model(config: Config, data: DataSet) -> naive_bayes.CountedModel:
    if config.dataset == "wrodl":
        return naive_bayes.make_model(config, wrodl.LEVELS)
    _, height, width, _ = image_spec(data).shape
    return naive_bayes.make_model(config, (COLORS,) * (height * width))


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns the table of probabilities as the only network."""
    levels = _model(config, data).levels
    return {config.model: Network(naive_bayes.FreeParameters(levels), (jnp.zeros((1, len(levels)), jnp.int32),))}


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    model = _model(config, data)
    if config.dataset == "wrodl":
        return count_mle(model, encode=lambda batch: batch["features"], decode=lambda x: x, axis_name=axis_name)
    height = image_spec(data).shape[1]
    images = data.train.take(np.arange(min(PALETTE_IMAGES, len(data.train))))["image"]
    colors = palette.fit(images, COLORS)
    return count_mle(
        model,
        encode=lambda batch: palette.encode(colors, batch["image"]),
        decode=lambda features: palette.decode(colors, features, height),
        axis_name=axis_name,
    )


def log_probability(run: Run, codes: np.ndarray) -> np.ndarray:
    """Returns log p (N,) in float64 of fashions (N, 5)."""
    evaluate = jax.jit(run.learner.evaluate)
    return -np.asarray(evaluate(run.state, {"features": jnp.asarray(codes)}, run.key)["loss"], np.float64)


def _draw_fashions(codes: np.ndarray, captions: Sequence[Sequence[str]], path: Path) -> None:
    faces = np.stack([avatars.render(wrodl.factors(fashion), AVATAR_SIZE) for fashion in wrodl.decode(codes)])
    captioned(faces / 255.0, captions, path, columns=5)


def _features(fashion: Sequence[str]) -> list[str]:
    """Returns a fashion's values as three lines of a caption."""
    accessories, color, clothing, hair, top = fashion
    return [f"{top}, {hair}", f"{clothing}, {color}", f"accessories: {accessories}"]


def draw_new_fashions(run: Run, count: int, path: Path) -> None:
    """Draws `count` samples as avatars, with their probability and their number of occurrences in the training data."""
    codes = np.asarray(run.learner.sample(run.state, run.key, count))
    train = run.data.train.take(np.arange(len(run.data.train)))["features"]
    captions = []
    for fashion, code, log_p in zip(wrodl.decode(codes), codes, log_probability(run, codes), strict=True):
        seen = int((train == code).all(1).sum())
        origin = {0: "new", 1: "seen once", 2: "seen twice"}.get(seen, f"seen {seen} times")
        captions.append([f"p = {np.exp(log_p):.4f}, {origin}", *_features(fashion)])
    _draw_fashions(codes, captions, path)


def preview(run: Run) -> None:
    """Draws ten samples: fashions, or faces under ten training faces."""
    if run.config.dataset == "wrodl":
        draw_new_fashions(run, SHOWN, run.figures / "new_fashions.png")
        return
    real = np.asarray(run.data.transform(run.data.train.take(np.arange(min(SHOWN, len(run.data.train)))))["image"])
    drawn = np.asarray(run.learner.sample(run.state, run.key, len(real)))
    rows([np.broadcast_to(real, drawn.shape), drawn], ["training", "sampled"], run.figures / "faces.png")


def analyse(run: Run) -> Results:
    """Draws the figures of chapter 1; returns its numbers."""
    preview(run)
    return _analyse_fashions(run) if run.config.dataset == "wrodl" else _analyse_pixels(run)


def _analyse_fashions(run: Run) -> Results:
    train = run.data.train.take(np.arange(len(run.data.train)))["features"]
    captions = [[f"row {i}", *_features(fashion)] for i, fashion in enumerate(wrodl.PRINTED)]
    _draw_fashions(train[:SHOWN], captions, run.figures / "training_fashions.png")
    everything = np.array(list(itertools.product(*map(range, wrodl.LEVELS))), np.int32)  # (4032, 5)
    log_p = log_probability(run, everything)
    p = np.exp(log_p)
    model = run.config.model.replace("_", " ")
    series = {"training rows": [], model: []}
    for j, levels in enumerate(wrodl.LEVELS):
        series["training rows"].append(np.bincount(train[:, j], minlength=levels) / len(train))
        series[model].append(np.bincount(everything[:, j], p, levels))
    probability_bars(wrodl.FEATURES, series, run.figures / "probabilities.png")
    seen_twice, never_seen = np.exp(log_probability(run, wrodl.encode([wrodl.SEEN_TWICE, wrodl.NEVER_SEEN])))
    possible = p > 0
    return {
        "probability/long_hair_straight_red_round_shirt_scoop_neck_white": float(seen_twice),
        "probability/long_hair_straight_red_round_shirt_scoop_neck_blue": float(never_seen),
        "probability/largest": float(p.max()),
        "probability/sum": float(p.sum()),
        "possible_combinations": int(possible.sum()),
        "entropy": float(-(p[possible] * log_p[possible]).sum()),
        "protocol": {
            "probability": f"under the model, over all {len(everything):,} combinations; named fashions are the book's",
            "entropy": "of the model; nats",
        },
    }


def _neighbours_alike(images: np.ndarray) -> float:
    """Returns the share of pixels with exactly the colour of their right neighbour."""
    return float((images[:, :, 1:] == images[:, :, :-1]).all(-1).mean())


def _analyse_pixels(run: Run) -> Results:
    pixels = run.data.transform(run.data.train.take(np.arange(min(100, len(run.data.train)))))["image"]
    drawn = np.asarray(run.learner.sample(run.state, run.key, 100))
    image_grid(drawn[:50], run.figures / "sampled_faces.png", columns=10)
    return {
        "training_images/neighbours_alike": _neighbours_alike(np.asarray(pixels)),
        "samples/neighbours_alike": _neighbours_alike(drawn),
        "protocol": {"neighbours_alike": "share of pixels with exactly the colour of their right neighbour"},
    }


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Draws new fashions, or images."""
    path = request.out / "samples.png"
    if run.config.dataset == "wrodl":
        draw_new_fashions(run, request.num, path)
    else:
        image_grid(np.asarray(run.learner.sample(run.state, run.key, request.num)), path, columns=10)
    return [path]


EXPERIMENT = Experiment(
    name="naive_bayes",
    module=__name__,
    presets=PRESETS,
    load=load,
    spec=data_spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
