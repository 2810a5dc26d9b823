"""The figure of answers and questions shows the given values and texts."""

import numpy as np
from matplotlib.colors import to_rgba

from gdl_jax.plots import questions
from gdl_jax.plots.figure import COLORS

WORDS = ("its", "Nils", "Berg", ",", "1999")
PROBABILITIES = np.array([0.1, 0.9, 0.8, 0.0, 0.6])
FOUND = [(1, "Nils Berg", "who was saved ?"), (4, "1999", "when did the ship sink ? " + "x" * 200)]


def bars(axes, color):
    """Returns [(position, height)] of the bars of a colour."""
    found = [bar for bar in axes.patches if to_rgba(bar.get_facecolor(), 1.0) == to_rgba(color)]
    return [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in found]


def test_probabilities_and_numbered_questions_are_drawn(tmp_path, drawn):
    questions.answers_and_questions(WORDS, PROBABILITIES, np.array([0, 1, 1, 0, 0]), 0.5, FOUND, tmp_path / "a.png")
    chart, lines = drawn[0].axes
    np.testing.assert_allclose(bars(chart, COLORS[0]), list(enumerate(PROBABILITIES)), atol=1e-9)
    np.testing.assert_allclose(bars(chart, COLORS[1]), list(enumerate([0, 1, 1, 0, 0])), atol=1e-9)
    assert [(text.get_text(), text.xy) for text in chart.texts] == [("1", (1, 0.9)), ("2", (4, 0.6))]
    assert [label.get_text() for label in chart.get_xticklabels()] == list(WORDS)
    assert [line.get_ydata()[0] for line in chart.lines] == [0.5]
    first, second = (text.get_text() for text in lines.texts)
    assert first.startswith("1") and first.index("Nils Berg") < first.index("who was saved ?")
    assert second.startswith("2") and second.index("1999") < second.index("when did the ship sink ?")
    assert len(second) == questions.LINE_LENGTH


def test_human_answers_are_optional(tmp_path, drawn):
    questions.answers_and_questions(WORDS, PROBABILITIES, None, 0.5, FOUND * 20, tmp_path / "a.png")
    chart, lines = drawn[0].axes
    assert not bars(chart, COLORS[1])
    assert len(lines.texts) == len(chart.texts) == questions.MOST_LINES


def test_dollar_signs_are_no_formulas(tmp_path):
    words = ("$", "$x^$", "{", "_", "$5")
    found = [(0, "$ 5", "how many $ were $ ^ spent ?")]
    questions.answers_and_questions(words, PROBABILITIES, None, 0.5, found, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()
