"""Figures of neural style transfer, and the picture itself."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from experiments.style import objective
from gdl_jax.core.metrics_log import read_rows
from gdl_jax.data.images.colors import with_colors_of
from gdl_jax.losses.style import gram_matrix
from gdl_jax.plots import style as plots
from gdl_jax.runs.experiment import Run

FRAMES = 40  # most pictures kept from during a run, besides the first and the last
STRIP = (0.05, 0.5)  # places of the pictures between the first and the last of the strip, as shares of the steps
GRAM_LAYER = "block2_conv1"  # shown in the figure of Gram matrices
GRAM_CHANNELS = 3
GRAM_HEIGHT = 128  # pixels of the pictures in that figure


def content_picture(run: Run) -> np.ndarray:
    """Returns the content picture, (H, W, 3) in [0, 1]."""
    return run.data.train.take(np.zeros(1, np.int64))["content"][0] / 255.0


def style_pictures(run: Run) -> list[np.ndarray]:
    """Returns the style pictures, (h, w, 3) in [0, 1] each."""
    row = run.data.train.take(np.zeros(1, np.int64))
    return [row[f"style_{number}"][0] / 255.0 for number in range(len(run.config.style))]


def painted(run: Run, color: str) -> np.ndarray:
    """Returns the picture (H, W, 3), not clipped.

    Args:
      run: the run.
      color: "style": as optimised; "content": with the colours of the content picture.
    """
    picture = np.asarray(run.learner.sample(run.state, run.key, 1))[0]
    return with_colors_of(picture, content_picture(run)) if color == "content" else picture


def is_shown(config: Any, step: int) -> bool:
    """True if the picture of this step is kept: the first two, the last, and about FRAMES in between."""
    between = -(-config.steps // (FRAMES * (config.eval_every or config.steps))) * config.eval_every
    return step in (0, config.eval_every, config.steps) or bool(between and step % between == 0)


def preview(run: Run) -> None:
    """Saves the picture at its full size."""
    if is_shown(run.config, run.step):
        plots.save(painted(run, run.config.color), run.figures / f"picture_at_{run.step:07d}.png")


def draw_all(run: Run) -> np.ndarray:
    """Draws all figures and saves result.png; returns the picture, not clipped."""
    picture = painted(run, run.config.color)
    plots.save(picture, run.figures / "result.png")
    content, styles = content_picture(run), style_pictures(run)
    names = ["style" if len(styles) == 1 else f"style {number}" for number in range(1, 1 + len(styles))]
    plots.strip([content, *styles, picture], ["content", *names, "result"], run.figures / "content_style_result.png")
    _draw_progress(run)
    plots.term_curves(read_rows(run.figures.parent / "metrics.jsonl"), run.figures / "terms.png")
    draw_gram_matrices(run, content, styles[0], run.figures / "gram_matrices.png")
    return picture


def _draw_progress(run: Run) -> None:
    """Draws the pictures from during the run as a strip, and as a film."""
    found = {int(re.findall(r"\d+", path.stem)[-1]): path for path in run.figures.glob("picture_at_*.png")}
    found = {step: found[step] for step in sorted(found) if step <= run.step}
    if len(found) < 2:
        return
    first, *rest = found
    wanted = [first, rest[0], *(min(rest, key=lambda step, at=share * run.step: abs(step - at)) for share in STRIP)]
    steps = sorted({*wanted, rest[-1]})
    pictures = {step: np.asarray(Image.open(path).convert("RGB")) / 255.0 for step, path in found.items()}
    headings = ["start" if step == 0 else f"step {step:,}" for step in steps]
    plots.strip([pictures[step] for step in steps], headings, run.figures / "strip.png")
    plots.film(list(pictures.values()), run.figures / "film.gif", frames_per_second=5)


def draw_gram_matrices(run: Run, content: np.ndarray, style: np.ndarray, path: Path) -> None:
    """Draws features and Gram matrices of two halves of the style picture, which are alike, and the content picture.

    The channels are those whose mean squares differ most between style and content.
    """
    features = jax.jit(objective.features_at((GRAM_LAYER,), run.config.pooling))

    def maps(picture):
        height = min(GRAM_HEIGHT, len(picture))
        width = max(2, round(picture.shape[1] * height / len(picture)))
        return np.asarray(features(jax.image.resize(picture[None], (1, height, width, 3), "linear"))[GRAM_LAYER])

    middle = style.shape[1] // 2
    pictures = [style[:, :middle], style[:, middle:], content]
    found = [maps(picture.astype(np.float32)) for picture in pictures]
    left, right, other = (np.diagonal(np.asarray(gram_matrix(each))[0]) for each in found)
    difference = np.abs(left + right - 2 * other) - np.abs(left - right)
    channels = np.argsort(-difference / np.sqrt(left + right + other + 1e-6))[:GRAM_CHANNELS]
    labels = ["Style, left", "Style, right", "Content"]
    plots.gram_matrices(pictures, labels, [each[0][..., channels] for each in found], [int(c) for c in channels], path)
