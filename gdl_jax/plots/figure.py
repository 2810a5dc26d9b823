"""Shared style of all figures. Uses object-oriented matplotlib: no pyplot, no windows, no figures left open."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg, get_hinting_flag
from matplotlib.figure import Figure
from PIL import Image

COLORS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0")
INK, QUIET, FAINT = "#24292f", "#6e7781", "#e4e7eb"
RIGHT, WRONG = "#1a7f37", "#cf222e"
DPI = 120
FONT_SIZE = 9.0  # points
X_HEIGHT = 0.6 * FONT_SIZE * DPI / 72  # pixels
ABBREVIATIONS = {
    **{name: name.upper() for name in ("kl", "fid", "kid", "mse", "bce", "rmse", "f1", "bleu", "rouge", "l1", "ks")},
}
STYLE = {
    "text.usetex": False,
    "text.parse_math": False,  # names of classes, files and words may contain "$"
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": "#c4cad1",
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": "#c4cad1",
    "ytick.color": "#c4cad1",
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def drawing(path: Path, width: float, height: float, rows: int = 1, columns: int = 1, **grid) -> Iterator[tuple]:
    """Makes a figure in the shared style, and saves it as a PNG at the end of the `with` block.

    Args:
      path: of the PNG.
      width, height: in inches of DPI pixels.
      rows, columns: of panels.
      **grid: further arguments of matplotlib's `Figure.subplots`.

    Yields:
      (figure, axes (rows, columns)).
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
        yield figure, figure.subplots(rows, columns, squeeze=False, **grid)
        # Quantised to a third of the bytes; no pixel of a chart changes by more than 16 of 255.
        render(figure).quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path)


class Text(NamedTuple):
    """A line of text centred vertically at `y`, in pixels from the upper left corner."""

    x: float
    y: float
    text: str
    align: str = "center"  # the side of the text that is at x: left, center or right
    color: str = INK


def save_picture(picture: np.ndarray, path: Path, texts: Iterable[Text] = ()) -> None:
    """Saves a picture (H, W, 3) uint8 as a PNG, pixel for pixel, with texts on it."""
    with_texts(picture, texts).save(path)


def with_texts(picture: np.ndarray, texts: Iterable[Text]) -> Image.Image:
    """Returns a picture (H, W, 3) uint8, pixel for pixel, with texts on it."""
    height, width, _ = picture.shape
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        figure.figimage(picture)
        for x, y, text, align, color in texts:
            # Aligned by the baseline, not by the middle of each text, so that "frog" and "truck" stand on one line.
            baseline = y + X_HEIGHT / 2
            figure.text(x / width, 1 - baseline / height, text, ha=align, va="baseline", color=color)
        return render(figure)


def text_width(text: str) -> float:
    """Returns the width in pixels of a text drawn by `save_picture`."""
    font = font_manager.get_font(font_manager.findfont(STYLE["font.family"]))
    font.set_size(FONT_SIZE, DPI)
    font.set_text(text, 0, flags=get_hinting_flag())  # as when it is drawn
    return font.get_width_height()[0] / 64


def words(name: str) -> str:
    """Turns a name from code into a title: "kl_loss" -> "KL loss"."""
    text = " ".join(ABBREVIATIONS.get(word, word) for word in name.replace("_", " ").split())
    return text[:1].upper() + text[1:]


def render(figure: Figure) -> Image.Image:
    """Returns the pixels of a figure, in RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
