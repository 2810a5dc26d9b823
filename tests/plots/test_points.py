"""Points with error bars show seeds, means and standard errors."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from gdl_jax.plots.figure import COLORS
from gdl_jax.plots.points import means_with_errors

VALUES = {
    "L1": {"base": [1.0, 2.0, 6.0], "other": [3.0, 3.0, 3.0]},
    "KID": {"base": [-1.0, 1.0, 0.0], "other": [5.0, 7.0, 9.0]},
}


def test_bars_are_standard_errors_of_the_mean(tmp_path, drawn):
    means_with_errors(VALUES, tmp_path / "points.png")
    assert (tmp_path / "points.png").exists()
    first, second = drawn[0].axes
    assert [axes.get_title("left") for axes in (first, second)] == ["L1", "KID"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["base", "other"]
    assert first.get_ylim()[0] > first.get_ylim()[1]  # the first run is on top
    for axes, by_run in zip((first, second), VALUES.values(), strict=True):
        for line, (bars, seeds) in enumerate(zip(axes.containers, by_run.values(), strict=True)):
            mean, error = np.mean(seeds), np.sqrt(np.sum((np.array(seeds) - np.mean(seeds)) ** 2) / 2 / 3)
            marker, _, (bar,) = bars
            assert marker.get_xydata().tolist() == [[mean, line]]
            np.testing.assert_allclose(bar.get_segments()[0], [[mean - error, line], [mean + error, line]])
            assert to_hex(marker.get_color()) == COLORS[line]
            assert any(np.array_equal(dots.get_xdata(), seeds) for dots in axes.lines)


@pytest.mark.parametrize(("results", "rows", "columns"), [(1, 1, 1), (4, 1, 4), (6, 2, 3), (7, 2, 4)])
def test_panels_are_in_rows_of_at_most_four(results, rows, columns, tmp_path, drawn):
    means_with_errors({f"result {i}": VALUES["L1"] for i in range(results)}, tmp_path / "points.png")
    shown = [axes for axes in drawn[0].axes if axes.axison]
    assert len(shown) == results
    corners = [tuple(round(value, 2) for value in axes.get_position().p0) for axes in shown]
    assert [len(set(places)) for places in zip(*corners, strict=True)] == [columns, rows]
