"""Figure of the answers predicted in a text and of the questions generated about them (book figure 6-16)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdl_jax.plots.figure import COLORS, QUIET, drawing

WIDTH, CHART_HEIGHT, LINE = 12.0, 3.2, 0.24  # inches
WORD_WIDTH, WORD_SIZE = 0.11, 6.5  # inches, points
MOST_LINES = 16
LINE_LENGTH = 130  # characters


def answers_and_questions(
    words: Sequence[str],
    probabilities: np.ndarray,
    actual: np.ndarray | None,
    least: float,
    found: Sequence[tuple[int, str, str]],
    path: Path,
) -> None:
    """Draws the probability of each word to belong to an answer and, below, the answers and generated questions.

    Args:
      words: the D words of the text.
      probabilities: (D,) in [0, 1].
      actual: (D,), 1 for words of human answers; None if there are none.
      least: threshold: words at least as probable are tagged as part of an answer.
      found: (index of the first word, answer, question) of each answer, numbered in this order.
      path: of the PNG.
    """
    shown = list(found)[:MOST_LINES]
    text_height = LINE * (len(shown) + 1) + 0.2
    ratios = {"height_ratios": [CHART_HEIGHT, text_height]}
    width = max(WIDTH, WORD_WIDTH * len(words))
    with drawing(path, width, CHART_HEIGHT + text_height, 2, 1, gridspec_kw=ratios) as (_, axes):
        chart, lines = axes[:, 0]
        places = np.arange(len(probabilities))
        if actual is not None:
            chart.bar(places, actual, width=1.0, color=COLORS[1], alpha=0.35, label="human answers")
        chart.bar(places, probabilities, width=0.9, color=COLORS[0], label="probability")
        chart.axhline(least, color=QUIET, linewidth=0.8, linestyle="--", label="threshold")
        for number, (place, _, _) in enumerate(shown, start=1):
            chart.annotate(
                str(number), (place, probabilities[place]), (0, 2), textcoords="offset points", ha="center", color=QUIET
            )
        chart.set_xlim(-1, max(len(probabilities), 1))
        chart.set_ylim(0, 1.12)
        chart.set_xticks(places, words, rotation=90, fontsize=WORD_SIZE, parse_math=False)
        chart.set_title("Probability that a word belongs to an answer")
        chart.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
        lines.axis("off")
        lines.set_ylim(len(shown) + 0.5, -0.5)
        lines.set_xlim(0, 1)
        for number, (_, answer, question) in enumerate(shown, start=1):
            text = f"{number}.  {answer}:  {question}"
            if len(text) > LINE_LENGTH:
                text = text[: LINE_LENGTH - 1] + "…"
            lines.text(0, number - 0.5, text, va="center", parse_math=False)
