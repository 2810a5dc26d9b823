"""Each cosine is printed in its own cell."""

import numpy as np

from gdl_jax.plots.similarity import cosine_tables
from tests.plots.pixels import read


def test_each_cosine_is_in_its_row_and_column(tmp_path, drawn):
    tables = {"embedding": np.ones((2, 2)), "last layer": np.array([[1.0, -0.25], [0.375, 1.0]])}
    cosine_tables(tables, ["water the plants", "a glass of water"], tmp_path / "t.png")
    axes = drawn[0].axes
    written = [{text.get_position()[::-1]: text.get_text() for text in cell.texts} for cell in axes]
    assert written[0] == {(i, j): "1.00" for i in range(2) for j in range(2)}
    assert written[1] == {(0, 0): "1.00", (0, 1): "-0.25", (1, 0): "0.38", (1, 1): "1.00"}
    assert [cell.get_title(loc="left") for cell in axes] == list(tables)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["water the plants  1", "a glass of water  2"]
    assert read(tmp_path / "t.png").size
