"""The picture of answers marks the characters found, and underlines people's."""

import numpy as np

from gdl_jax.plots import answers
from gdl_jax.plots.answers import Answered, answers_in_passages, lines_of
from gdl_jax.plots.figure import RIGHT, text_width
from tests.plots.pixels import has_color, read

WORDS = [f"word{number}" for number in range(200)]


def marked(path, color, tolerance=0):
    """Returns (left, top, right, bottom) around all pixels of a colour."""
    y, x = np.nonzero(has_color(read(path), color, tolerance))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_lines_hold_all_words_in_order():
    passage = "  \n".join(WORDS) + "x" * 300
    lines = lines_of(passage)
    assert " ".join(passage[start:end] for start, end in lines).split() == passage.split()
    assert all(end - start <= answers.COLUMNS for start, end in lines[:-1])
    assert lines_of(" \n ") == []


def test_the_answer_is_marked_and_peoples_underlined(tmp_path):
    passage = "Anna Brown founded a bakery in Oslo."
    start, human = passage.index("bakery"), passage.index("Oslo")
    entry = Answered("where ?", passage, (start, start + 6), (human, human + 4))
    answers_in_passages([entry], tmp_path / "a.png")
    left, top, right, bottom = marked(tmp_path / "a.png", answers.MARKED / 255)
    assert abs(left - answers.MARGIN - (text_width(passage[: start + 1]) - text_width("b"))) < 3
    assert abs(right - left - text_width("bakery")) < 3
    assert answers.MARGIN + answers.LINE <= top < bottom <= answers.MARGIN + 2 * answers.LINE
    under = marked(tmp_path / "a.png", RIGHT)
    assert under[0] > right and under[1] >= bottom - 1
    answers_in_passages([entry._replace(right=None)], tmp_path / "b.png")
    assert not has_color(read(tmp_path / "b.png"), RIGHT).any()


def test_an_answer_over_two_lines_is_marked_in_both(tmp_path):
    passage = " ".join(WORDS[:30])
    first, second = lines_of(passage)[:2]
    answers_in_passages([Answered("?", passage, (first[1] - 4, second[0] + 4))], tmp_path / "a.png")
    _, top, _, bottom = marked(tmp_path / "a.png", answers.MARKED / 255)
    assert bottom - top > answers.LINE


def test_of_a_long_passage_the_lines_around_the_answer_are_shown(tmp_path):
    passage = " ".join(WORDS * 10)
    heights = []
    for place in (0, len(passage) // 2, len(passage) - 4):
        answers_in_passages([Answered("?", passage, (place, place + 4))], tmp_path / "a.png")
        assert has_color(read(tmp_path / "a.png"), answers.MARKED / 255).any()
        heights.append(len(read(tmp_path / "a.png")))
    assert heights == [2 * answers.MARGIN + answers.LINE * (answers.MOST_LINES + 1)] * 3
