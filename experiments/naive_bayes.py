"""Naive Bayes (book chapter 1): the fashions of planet Wrodl, and faces pixel by pixel.

    python -m experiments.naive_bayes                         ten new fashions; p = 0.0054 for the book's example
    python -m experiments.naive_bayes --model=multinomial     the book's first try, which can only repeat what it saw
    python -m experiments.naive_bayes --smoothing=1           what was never seen becomes possible
    python -m experiments.naive_bayes --config=pixels         ten faces that fail: pixels are not independent

Each takes seconds on two CPU cores, and `pixels` a minute more the first time, when its faces are drawn. Look at
`figures/new_fashions.png` and `figures/faces.png`.
"""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import UserError
from gdl_jax.data.dataset import first_examples
from gdl_jax.data.images import avatars, palette, wrodl
from gdl_jax.learners.counting import counting
from gdl_jax.models import naive_bayes
from gdl_jax.plots.avatars import captioned
from gdl_jax.plots.bars import probability_bars
from gdl_jax.plots.images import image_grid, rows
from gdl_jax.runs.experiment import Experiment, ImageConfig, Part, image_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, naive_bayes.Config):
    dataset: str = "wrodl"  # wrodl (bundled), or any set of images, whose pixels become features of 256 values


PRESETS = {
    "wrodl": Config(steps=1, batch_size=50, log_every=1, eval_every=1, checkpoint_every=1),
    "pixels": Config(
        dataset="avatars",
        image_size=32,
        smoothing=0.01,  # a test face may have a pixel of a colour that was never seen there
        steps=16,  # one pass over 8,000 faces
        batch_size=500,
        log_every=1,
        eval_every=4,
        checkpoint_every=16,
    ),
}
COLORS = 256  # of the palette (book: the colours of planet Pixel's palette)
PALETTE_IMAGES = 500  # training images that the palette is fitted to
SHOWN = 10
AVATAR_SIZE = 256


def load(config):
    """The Wrodl table, or images.

    Raises:
      UserError: as `load_data`; something is asked of the table that only images have.
    """
    if config.dataset != "wrodl":
        return load_data(config)
    for name in ("image_size", "validation_examples"):
        if value := getattr(config, name):
            raise UserError(f"--{name}={value}: wrodl has fifty fashions to train on, and no images")
    return first_examples(wrodl.load(), config.train_examples)


def _model(config, data):
    if config.dataset == "wrodl":
        return naive_bayes.make_model(config, wrodl.LEVELS)
    _, height, width, _ = image_spec(data).shape
    return naive_bayes.make_model(config, (COLORS,) * (height * width))


def parts(config, data):
    """The free probabilities."""
    levels = _model(config, data).levels
    return {config.model: Part(naive_bayes.FreeParameters(levels), (jnp.zeros((1, len(levels)), jnp.int32),))}


def build(config, data, axis_name):
    """The learner."""
    model = _model(config, data)
    if config.dataset == "wrodl":
        return counting(model, encode=lambda batch: batch["features"], decode=lambda x: x, axis_name=axis_name)
    height = image_spec(data).shape[1]
    images = data.train.take(np.arange(min(PALETTE_IMAGES, len(data.train))))["image"]
    colors = palette.fit(images, COLORS)
    return counting(
        model,
        encode=lambda batch: palette.encode(colors, batch["image"]),
        decode=lambda features: palette.decode(colors, features, height),
        axis_name=axis_name,
    )


def log_probability(run, codes):
    """log p of fashions (N, 5), float64 (N,)."""
    evaluate = jax.jit(run.learner.evaluate)
    return -np.asarray(evaluate(run.state, {"features": jnp.asarray(codes)}, run.key)["loss"], np.float64)


def _draw_fashions(codes, captions, path):
    faces = np.stack([avatars.render(wrodl.factors(fashion), AVATAR_SIZE) for fashion in wrodl.decode(codes)])
    captioned(faces / 255.0, captions, path, columns=5)


def _features(fashion):
    """A fashion's values on three lines of a caption."""
    accessories, color, clothing, hair, top = fashion
    return [f"{top}, {hair}", f"{clothing}, {color}", f"accessories: {accessories}"]


def draw_new_fashions(run, count, path):
    """`count` draws from the model as avatars, with their probability and how often they were trained on."""
    codes = np.asarray(run.learner.sample(run.state, run.key, count))
    train = run.data.train.take(np.arange(len(run.data.train)))["features"]
    captions = []
    for fashion, code, log_p in zip(wrodl.decode(codes), codes, log_probability(run, codes), strict=True):
        seen = int((train == code).all(1).sum())
        origin = {0: "new", 1: "seen once", 2: "seen twice"}.get(seen, f"seen {seen} times")
        captions.append([f"p = {np.exp(log_p):.4f}, {origin}", *_features(fashion)])
    _draw_fashions(codes, captions, path)


def preview(run):
    """Ten draws: fashions, or faces below ten training faces."""
    if run.config.dataset == "wrodl":
        draw_new_fashions(run, SHOWN, run.figures / "new_fashions.png")
        return
    real = np.asarray(run.data.transform(run.data.train.take(np.arange(min(SHOWN, len(run.data.train)))))["image"])
    drawn = np.asarray(run.learner.sample(run.state, run.key, len(real)))
    rows([np.broadcast_to(real, drawn.shape), drawn], ["training", "sampled"], run.figures / "faces.png")


def analyse(run):
    """The figures of chapter 1, and its numbers."""
    preview(run)
    return _analyse_fashions(run) if run.config.dataset == "wrodl" else _analyse_pixels(run)


def _analyse_fashions(run):
    train = run.data.train.take(np.arange(len(run.data.train)))["features"]
    captions = [[f"row {i}", *_features(fashion)] for i, fashion in enumerate(wrodl.PRINTED)]
    _draw_fashions(train[:SHOWN], captions, run.figures / "training_fashions.png")
    everything = np.array(list(itertools.product(*map(range, wrodl.LEVELS))), np.int32)  # (4032, 5)
    log_p = log_probability(run, everything)
    p = np.exp(log_p)
    series = {"training rows": [], run.config.model.replace("_", " "): []}
    for j, levels in enumerate(wrodl.LEVELS):
        series["training rows"].append(np.bincount(train[:, j], minlength=levels) / len(train))
        series[run.config.model.replace("_", " ")].append(np.bincount(everything[:, j], p, levels))
    probability_bars(wrodl.FEATURES, series, run.figures / "probabilities.png")
    named = np.exp(log_probability(run, wrodl.encode([wrodl.SEEN_TWICE, wrodl.NEVER_SEEN])))
    possible = p > 0
    return {
        "p(LongHairStraight, Red, Round, ShirtScoopNeck, White)": float(named[0]),
        "p(LongHairStraight, Red, Round, ShirtScoopNeck, Blue01)": float(named[1]),
        "combinations with p > 0": int(possible.sum()),
        "sum of p over all 4,032 combinations": float(p.sum()),
        "largest p": float(p.max()),
        "entropy (nats)": float(-(p[possible] * log_p[possible]).sum()),
    }


def _alike(images):
    """Share of pixels that have the very colour of their right neighbour."""
    return float((images[:, :, 1:] == images[:, :, :-1]).all(-1).mean())


def _analyse_pixels(run):
    pixels = run.data.transform(run.data.train.take(np.arange(min(100, len(run.data.train)))))["image"]
    drawn = np.asarray(run.learner.sample(run.state, run.key, 100))
    image_grid(drawn[:50], run.figures / "sampled_faces.png", columns=10)
    return {
        "neighbouring pixels alike, training images": _alike(np.asarray(pixels)),
        "neighbouring pixels alike, sampled images": _alike(drawn),
    }


def sample(run, request):
    """New fashions, or images."""
    path = request.out / "samples.png"
    if run.config.dataset == "wrodl":
        draw_new_fashions(run, request.num, path)
    else:
        image_grid(np.asarray(run.learner.sample(run.state, run.key, request.num)), path, columns=10)
    return [path]


EXPERIMENT = Experiment("naive_bayes", Config, PRESETS, build, parts, analyse, preview, sample, load)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
