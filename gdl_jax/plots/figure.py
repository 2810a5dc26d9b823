"""The look that all figures share. Object-oriented matplotlib: no global state, safe in any thread."""

from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0")
INK, QUIET = "#24292f", "#8b949e"
DPI = 130
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=COLORS),
    "figure.facecolor": "white",
}


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **grid):
    """(figure, axes) of `width` x `height` inches; axes is a 2-D array."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, dpi=DPI)


def show_image(axes, image) -> None:
    """(H, W, 1 or 3) in [0, 1], without ticks; grey images are ink on paper."""
    grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if grey else image.clip(0, 1), cmap="gray_r" if grey else None, vmin=0, vmax=1)
    axes.set_axis_off()
