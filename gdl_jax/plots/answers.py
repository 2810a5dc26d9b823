"""Picture of answers found in passages."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gdl_jax.plots.figure import COLORS, RIGHT, Text, save_picture, text_width

COLUMNS = 110  # characters of a line
MOST_LINES = 14  # of a passage; of longer ones, those around the answer are shown
LINE, MARGIN, HALF, UNDERLINE = 24, 24, 10, 2  # pixels
MARKED = np.array([255, 224, 130], np.uint8)  # behind the answer


class Answered(NamedTuple):
    """A question, its passage, and where characters of the answer found and of people's answer are, ends excluded."""

    question: str
    passage: str
    found: tuple[int, int]
    right: tuple[int, int] | None = None


def lines_of(passage: str) -> list[tuple[int, int]]:
    """Returns where the lines of a passage begin and end: words are not cut, and white space between lines is lost."""
    lines: list[tuple[int, int]] = []
    for match in re.finditer(r"\S+", passage):
        if lines and match.end() - lines[-1][0] <= COLUMNS:
            lines[-1] = (lines[-1][0], match.end())
        else:
            lines.append(match.span())
    return lines


def _shown(lines: Sequence[tuple[int, int]], place: int) -> Sequence[tuple[int, int]]:
    """Returns at most MOST_LINES lines around the one that has the character at a place."""
    here = next((number for number, (_, end) in enumerate(lines) if place < end), 0)
    first = max(0, min(here - MOST_LINES // 2, len(lines) - MOST_LINES))
    return lines[first : first + MOST_LINES]


def _pixels(text: str, span: tuple[int, int], line: tuple[int, int]) -> tuple[int, int] | None:
    """Returns the left and right end in pixels of a span in a line; None if they share no character."""
    start, end = (min(max(place, line[0]), line[1]) - line[0] for place in span)
    if start >= end:
        return None
    bar = text_width("|")
    left, right = (int(text_width(f"{text[:place]}|") - bar) + MARGIN for place in (start, end))
    return left, right


def _rows(entries: Sequence[Answered]) -> Iterator[tuple[str, Answered | None, tuple[int, int]]]:
    """Yields the rows of the picture: texts, with their entry and place in its passage if they are of a passage."""
    for number, entry in enumerate(entries):
        if number:
            yield "", None, (0, 0)
        for line in textwrap.wrap(entry.question, COLUMNS):
            yield line, None, (0, 0)
        for line in _shown(lines_of(entry.passage), entry.found[0]):
            yield re.sub(r"\s", " ", entry.passage[slice(*line)]), entry, line


def answers_in_passages(entries: Sequence[Answered], path: Path) -> None:
    """Draws questions with their passages below: the answer found is marked, people's answer underlined.

    Args:
      entries: in the order of the picture.
      path: of the PNG.
    """
    rows = list(_rows(entries))
    width = max(text_width(text) for text, _, _ in rows) + 2 * MARGIN
    picture = np.full((LINE * len(rows) + 2 * MARGIN, int(width), 3), 255, np.uint8)
    underline = np.array([int(RIGHT[place : place + 2], 16) for place in (1, 3, 5)], np.uint8)
    texts = []
    for number, (text, entry, line) in enumerate(rows):
        y = int(MARGIN + LINE * (number + 0.5))
        if entry is None:
            texts.append(Text(MARGIN, y, text, "left", COLORS[0]))
            continue
        texts.append(Text(MARGIN, y, text, "left"))
        if (ends := _pixels(text, entry.found, line)) is not None:
            picture[y - HALF : y + HALF, slice(*ends)] = MARKED
        if entry.right is not None and (ends := _pixels(text, entry.right, line)) is not None:
            picture[y + HALF : y + HALF + UNDERLINE, slice(*ends)] = underline
    save_picture(picture, path, [text for text in texts if text.text])
