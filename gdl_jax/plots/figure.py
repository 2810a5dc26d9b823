"""The look that all figures share. Object-oriented matplotlib: no pyplot, no window, no figure left open."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
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
    """A figure to draw on, in the shared style; saved as a PNG at the end of the `with` block.

    Args:
      path: of the PNG.
      width: in inches, of DPI pixels.
      height: as `width`.
      rows: of panels.
      columns: of panels.
      **grid: as for matplotlib's `Figure.subplots`.

    Yields:
      (figure, axes); axes is a 2-D array.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
        yield figure, figure.subplots(rows, columns, squeeze=False, **grid)
        # A third of the bytes; no pixel of a chart is further than 16 of 255 from its colour.
        render(figure).quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path)


class Text(NamedTuple):
    """A line of text whose middle is at height `y`, in pixels from the upper left corner."""

    x: float
    y: float
    text: str
    align: str = "center"  # left, center or right of the text is at x
    color: str = INK


def save_picture(picture: np.ndarray, path: Path, texts: Iterable[Text] = ()) -> None:
    """Writes (H, W, 3) uint8 as a PNG, pixel for pixel, with texts on it."""
    lettered(picture, texts).save(path)


def lettered(picture: np.ndarray, texts: Iterable[Text]) -> Image.Image:
    """A picture (H, W, 3) uint8, pixel for pixel, with texts on it."""
    height, width, _ = picture.shape
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        figure.figimage(picture)
        for x, y, text, align, color in texts:
            # From the baseline, not from each text's own middle: "frog" beside "truck" stands on one line.
            baseline = y + X_HEIGHT / 2
            figure.text(x / width, 1 - baseline / height, text, ha=align, va="baseline", color=color)
        return render(figure)


def text_width(text: str) -> float:
    """In pixels, as `save_picture` draws it."""
    font = font_manager.get_font(font_manager.findfont(STYLE["font.family"]))
    font.set_size(FONT_SIZE, DPI)
    font.set_text(text)
    return font.get_width_height()[0] / 64


def words(name: str) -> str:
    """A name from code as a title: "kl_loss" -> "KL loss"."""
    text = " ".join(ABBREVIATIONS.get(word, word) for word in name.replace("_", " ").split())
    return text[:1].upper() + text[1:]


def render(figure: Figure) -> Image.Image:
    """Returns a figure's pixels, in RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
