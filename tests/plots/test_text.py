"""Pictures of texts contain every word; bars show next-token probabilities."""

import numpy as np
import pytest
from PIL import Image

from gdl_jax.plots import text

LONG = "a fox saw some fine bunches of grapes , " * 12


def test_passages_contain_headings_and_all_words_in_order(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(text, "save_picture", lambda picture, path, texts: drawn.extend([picture, *texts]))
    text.passages({"temperature 0.2": [LONG, "5$ and 6$"], "temperature 1.0": [""]}, tmp_path / "t.png")
    picture, *lines = drawn
    said = [line.text for line in lines]
    assert said[0] == "temperature 0.2" and said[-2] == "temperature 1.0" and said[-1]  # not empty
    assert " ".join(said[1:-3]).split() == LONG.split() and said[-3] == "5$ and 6$"
    assert [line.y for line in lines] == sorted({line.y for line in lines})  # each below the previous one
    assert lines[-1].y < picture.shape[0]
    assert all(line.x + text.text_width(line.text) < picture.shape[1] for line in lines)


def test_dollar_signs_are_not_formulas(tmp_path):
    text.passages({"a": ["$x^2$ ought to be seen"]}, tmp_path / "t.png")
    text.passages({"a": ["ought to be seen"]}, tmp_path / "u.png")
    with Image.open(tmp_path / "t.png") as with_dollars, Image.open(tmp_path / "u.png") as without:
        assert with_dollars.width > without.width
        assert (np.asarray(with_dollars.convert("L")) < 128).sum() > (np.asarray(without.convert("L")) < 128).sum()


def test_bars_are_the_probabilities_of_the_tokens(tmp_path, drawn):
    panels = {"the fox": {"saw": (0.5, 0.9), " ": (0.25, 0.1)}, "| |": {"the": (0.4, 0.8), "a": (0.3, 0.2)}}
    text.next_tokens(panels, ["temperature 1.0", "temperature 0.2"], tmp_path / "t.png")
    for axes, (context, panel) in zip(drawn[0].axes, panels.items(), strict=True):
        assert axes.get_title("left") == context
        for label, token in zip(axes.get_yticklabels(), panel, strict=True):
            assert label.get_text() == token if token.strip() else label.get_text().strip()  # spaces are visible
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == pytest.approx([shares[i] for i in (0, 1) for shares in panel.values()])
