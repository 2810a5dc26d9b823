"""Each share is printed in its own cell."""

import numpy as np

from gdl_jax.plots.shares import share_table
from tests.plots.pixels import read


def test_each_share_is_in_its_row_and_column(tmp_path, drawn):
    shares = np.array([[0.0, 0.25, 1.0], [0.995, 0.5, 0.004]])
    share_table(
        shares, ["chords", "style"], ["soprano\nbar 1", "alto\nbar 1", "bass\nbar 2"], "cells", tmp_path / "t.png"
    )
    (axes,) = drawn[0].axes
    written = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    assert written == {(0, 0): "0", (0, 1): "25%", (0, 2): "100%", (1, 0): "100%", (1, 1): "50%", (1, 2): "0%"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["chords", "style"]
    assert [label.get_text() for label in axes.get_xticklabels()][2] == "bass\nbar 2"
    np.testing.assert_array_equal(axes.images[0].get_array(), shares)
    assert read(tmp_path / "t.png").size
