"""Pictures of texts, and charts of next-token probabilities."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gdl_jax.plots.bars import probability_bars
from gdl_jax.plots.figure import COLORS, Text, save_picture, text_width

COLUMNS = 110  # characters per line
LINE, MARGIN = 24, 24  # pixels


def passages(texts: Mapping[str, Sequence[str]], path: Path) -> None:
    """Draws headings with their texts below, each text on a new line.

    Args:
      texts: heading -> texts.
      path: of the PNG.
    """
    lines = []
    for heading, members in texts.items():
        lines += [("", "")] if lines else []
        lines += [(line, COLORS[0]) for line in textwrap.wrap(heading, COLUMNS)]
        for member in members:
            lines += [(line, None) for line in textwrap.wrap(member, COLUMNS) or ["(empty)"]]
    width = max(text_width(line) for line, _ in lines) + 2 * MARGIN
    picture = np.full((LINE * len(lines) + 2 * MARGIN, int(width), 3), 255, np.uint8)
    drawn = []
    for number, (line, color) in enumerate(lines):
        at = (MARGIN, MARGIN + LINE * (number + 0.5), line, "left")
        drawn.append(Text(*at) if color is None else Text(*at, color))
    save_picture(picture, path, [text for text in drawn if text.text])


def next_tokens(panels: Mapping[str, Mapping[str, Sequence[float]]], series: Sequence[str], path: Path) -> None:
    """Draws next-token probabilities: one panel per context, one bar per series.

    Args:
      panels: context -> next token -> its probability in each series.
      series: names of the series.
      path: of the PNG.
    """
    shares = {
        name: [np.array([probabilities[i] for probabilities in panel.values()]) for panel in panels.values()]
        for i, name in enumerate(series)
    }
    features = {_plain(context): [_plain(token) for token in panel] for context, panel in panels.items()}
    probability_bars(features, shares, path)


def _plain(text: str) -> str:
    """Returns `text` as a label: a space is made visible."""
    return "(space)" if text == " " else text
