"""Charts show the given values."""

import math

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import StepPatch
from scipy.spatial import cKDTree

from gdl_jax.plots import classification, convolution, curves, latent
from gdl_jax.plots.figure import COLORS, words
from tests.plots.pixels import box_of, has_color, read, solid

NAMES = ("cat", "dog", "frog")


def _points(axes):
    """Returns {(x, y): colour} of the first scatter plot."""
    scatter = axes.collections[0]
    return {
        tuple(xy): tuple(rgba[:3]) for xy, rgba in zip(scatter.get_offsets(), scatter.get_facecolors(), strict=True)
    }


def _codes(count=60, dimensions=2):
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, dimensions)), rng.integers(0, 3, count)


def test_curves_have_one_panel_per_metric_and_one_line_per_split(tmp_path, drawn):
    rows = [{"step": s, "epoch": 0.1, "train/loss": 3.0 / s, "train/kl_loss": 1.0 + s} for s in (1, 2, 3)]
    rows += [{"step": 2, "test/loss": 2.5}]
    assert curves.training_curves(rows, tmp_path / "curves.png")
    loss, kl = (axes for axes in drawn[0].axes if axes.lines)
    assert (loss.get_title("left"), kl.get_title("left")) == ("Loss", "KL loss")
    assert {line.get_label().split()[0]: line.get_xydata().tolist() for line in loss.lines} == {
        "train": [[1, 3], [2, 1.5], [3, 1]],
        "test": [[2, 2.5]],
    }
    assert len(kl.lines) == 1 and not loss.collections


def test_lines_of_a_panel_have_different_colours(tmp_path, drawn):
    names = ("train", "validation", "test", "samples", "real_images", "dream")
    curves.training_curves([{"step": 1} | {f"{name}/kid": 1.0 for name in names}], tmp_path / "curves.png")
    (axes,) = drawn[0].axes
    assert len({to_rgba(line.get_color()) for line in axes.lines}) == len(names)


def test_several_seeds_have_a_band_of_one_standard_deviation(tmp_path, drawn):
    rows = [{"step": s, "train/loss": 5.0, "train/loss_std": 0.5 * s} for s in (1, 2)]
    curves.training_curves(rows, tmp_path / "curves.png")
    (axes,) = drawn[0].axes
    (band,) = axes.collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices}
    assert {(1, 4.5), (1, 5.5), (2, 4), (2, 6)} <= corners
    assert len(axes.lines) == 1


def test_bands_of_compared_curves_stay_nonnegative(tmp_path, drawn):
    logs = {
        label: [{"step": s, "test/loss": value, "test/loss_std": 2.0} for s in (1, 2)]
        for label, value in (("a", 5.0), ("b", 1.0))
    }
    curves.compared_curves(logs, ["test/loss"], "step", tmp_path / "compared.png")
    (axes,) = drawn[0].axes
    corners = [{tuple(point) for point in band.get_paths()[0].vertices} for band in axes.collections]
    assert {(1, 3), (1, 7), (2, 3), (2, 7)} <= corners[0]
    assert {(1, 0), (1, 3), (2, 0), (2, 3)} <= corners[1]


@pytest.mark.slow
def test_generations_show_returns_and_evaluations(tmp_path, drawn):
    def row(step, mean):
        numbers = {"mean_return": mean, "std_return": 2.0, "min_return": mean - 5, "max_return": mean + 3, "sigma": 0.1}
        return {"step": step} | {f"train/{name}": value for name, value in numbers.items()}

    rows = [row(1, 10.0), row(2, 20.0), {"step": 2, "test/return": 30.0}]
    curves.generations(rows, tmp_path / "generations.png")
    returns, sigma = drawn[0].axes
    corners = [{tuple(point) for point in band.get_paths()[0].vertices} for band in returns.collections]
    assert {(1, 5), (1, 13), (2, 15), (2, 23)} <= corners[0]
    assert {(1, 8), (1, 12), (2, 18), (2, 22)} <= corners[1]
    assert [line.get_xydata().tolist() for line in returns.lines] == [[[1, 10], [2, 20]], [[2, 30]]]
    assert [line.get_xydata().tolist() for line in sigma.lines] == [[[1, 0.1], [2, 0.1]]]
    curves.generations([*rows, {"step": 2, "test/return": 900.0, "test/dream_return": 25.0}], tmp_path / "dreams.png")
    dream, game, _ = drawn[1].axes
    assert dream.lines[1].get_xydata().tolist() == [[2, 25]]
    assert [line.get_xydata().tolist() for line in game.lines] == [[[2, 30], [2, 900]]]


@pytest.mark.parametrize(("steps", "label"), [((0.5, 1.5), "0.8"), ((1000, 3000), "2k")])
def test_step_axis_is_in_thousands_only_for_large_steps(steps, label, tmp_path, drawn):
    logs = {name: [{"step": step, "test/loss": 1.0} for step in steps] for name in ("one", "other")}
    curves.compared_curves(logs, ["test/loss"], "step", tmp_path / "compared.png")
    assert label in [text.get_text() for text in drawn[0].axes[0].get_xticklabels()]


def test_values_over_orders_of_magnitude_get_a_logarithmic_axis(tmp_path, drawn):
    rows = [{"step": s, "train/loss": 1000.0 / s**2, "train/norm": 2.0 - s} for s in (1, 10)]
    curves.training_curves(rows, tmp_path / "curves.png")
    assert [axes.get_yscale() for axes in drawn[0].axes] == ["log", "linear"]


def test_without_metrics_no_picture_is_written(tmp_path):
    assert not curves.training_curves([{"step": 1}], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_scatter_colours_codes_by_label_with_a_legend(tmp_path, drawn):
    z, labels = _codes()
    latent.scatter(z, labels, NAMES, tmp_path / "scatter.png")
    (axes,) = drawn[0].axes
    expected = {tuple(point): to_rgba(COLORS[label])[:3] for point, label in zip(z, labels, strict=True)}
    assert _points(axes) == expected
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(NAMES)
    pixels = read(tmp_path / "scatter.png")
    assert all(has_color(pixels, color, tolerance=24).any() for color in COLORS[:3])


def test_scatter_title_names_the_dimensions_shown(tmp_path, drawn):
    z, labels = _codes(dimensions=200)
    latent.scatter(z, np.zeros_like(labels), (), tmp_path / "scatter.png")
    (axes,) = drawn[0].axes
    assert set(_points(axes)) == {tuple(point) for point in z[:, :2]}
    assert axes.get_legend() is None
    assert "60" in axes.get_title("left") and "200" in axes.get_title("left")


def test_scatter_draws_one_dimension_on_a_line(tmp_path, drawn):
    z, labels = _codes(dimensions=1)
    latent.scatter(z, labels, NAMES, tmp_path / "scatter.png")
    assert set(_points(drawn[0].axes[0])) == {(value, 0.0) for value in z[:, 0]}


def test_many_classes_get_distinct_colours(tmp_path, drawn):
    z, _ = _codes(24)
    latent.scatter(z, np.arange(24), [str(i) for i in range(24)], tmp_path / "scatter.png")
    assert len(set(_points(drawn[0].axes[0]).values())) == 24


def test_p_values_are_the_normal_distribution_function(tmp_path, drawn):
    z, labels = _codes()
    latent.normal_cdf_map(z, labels, NAMES, tmp_path / "p.png")
    codes, p_values = drawn[0].axes
    assert set(_points(codes)) == {tuple(point) for point in z}
    expected = [[0.5 * (1 + math.erf(v / math.sqrt(2))) for v in point] for point in z]
    np.testing.assert_allclose(sorted(_points(p_values)), sorted(expected), atol=1e-12)


def test_decoded_grid_has_the_largest_second_value_at_the_top(tmp_path, drawn):
    colors = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff")
    path = tmp_path / "grid.png"
    latent.decoded_grid(solid(colors).reshape(2, 3, 8, 8, 3), ([-1.5, 0.25, 2], [10, 20]), path)
    boxes = np.array([box_of(read(path), color) for color in colors]).reshape(2, 3, 4)
    height = drawn[0].bbox.height
    places = {text.get_text(): text.get_window_extent() for text in drawn[0].texts}
    for row, label in enumerate(["20.00", "10.00"]):
        middle = height - (places[label].y0 + places[label].y1) / 2
        assert places[label].x1 < boxes[row, 0, 0] and boxes[row, 0, 1] < middle < boxes[row, 0, 3]
    for column, label in enumerate(["-1.50", "0.25", "2.00"]):
        middle = (places[label].x0 + places[label].x1) / 2
        assert boxes[1, column, 0] < middle < boxes[1, column, 2] and height - places[label].y1 >= boxes[1, 0, 3]


@pytest.mark.parametrize(("dimensions", "shown"), [(2, 2), (200, 50)])
def test_histograms_are_densities(tmp_path, drawn, dimensions, shown):
    z, _ = _codes(1000, dimensions)
    latent.histograms(z, tmp_path / "histograms.png")
    steps = [patch for patch in drawn[0].axes[0].patches if isinstance(patch, StepPatch)]
    assert len(steps) == shown
    for i, patch in enumerate(steps):
        values, edges, baseline = patch.get_data()
        widths, centres = np.diff(edges), (edges[1:] + edges[:-1]) / 2
        assert ((values - baseline) * widths).sum() == pytest.approx(1.0, abs=0.01)
        middle = (edges[0] + edges[-1]) / 2  # histograms are shifted; zero is in their middle
        assert ((values - baseline) * widths * centres).sum() == pytest.approx(
            middle + z[:, i].mean(), abs=0.1 + abs(middle) * 0.01
        )
    assert str(shown) in drawn[0].axes[0].get_title("left")


def test_dimensions_shows_quantiles_of_means_and_log_variances(tmp_path, drawn):
    mean = np.linspace(-1.0, 1.0, 101)[:, None] * np.array([0.0, 1.0, 3.0])
    log_var = np.broadcast_to(np.array([0.0, -1.0, -4.0]), mean.shape)
    latent.dimensions(mean, log_var, tmp_path / "dimensions.png")
    upper, lower = drawn[0].axes
    assert [bar.get_height() for bar in upper.patches] == pytest.approx([0.0, 1.8, 5.4])
    assert [bar.get_y() for bar in upper.patches] == pytest.approx([0.0, -0.9, -2.7])
    assert [bar.get_height() for bar in lower.patches] == pytest.approx([0.0, 0.0, 0.0])
    assert lower.lines[0].get_xydata().tolist() == [[0, 0], [1, -1], [2, -4]]


def test_gaps_numbers_the_points_and_prints_their_distances(tmp_path, drawn):
    z, labels = _codes()
    points = np.random.default_rng(2).uniform(z.min(0), z.max(0), (7, 2))
    latent.gaps(z, labels, NAMES, points, solid(["#ff0000"] * 7), tmp_path / "gaps.png")
    codes, pictures = drawn[0].axes
    nearest, _ = cKDTree(z).query(points)
    assert [text.get_text() for text in pictures.texts] == [f"{i + 1}  ({d:.2f})" for i, d in enumerate(nearest)]
    assert [text.get_position() for text in codes.texts] == [tuple(point) for point in points]
    (box,) = codes.patches
    np.testing.assert_allclose(box.get_bbox().get_points(), [z.min(0), z.max(0)])


def test_confusion_matrix_has_true_classes_as_rows(tmp_path, drawn):
    path = tmp_path / "confusion.png"
    classification.confusion_matrix(np.array([[0, 1200, 0], [3, 0, 1], [0, 0, 5]]), NAMES, path)
    (axes,) = drawn[0].axes
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (1, 0): "1,200",
        (0, 1): "3",
        (2, 1): "1",
        (2, 2): "5",
    }
    assert "0.41%" in axes.get_title("left") and "1,209" in axes.get_title("left")
    y, x = np.nonzero(has_color(read(path), COLORS[0], tolerance=8))  # cells with all counts of their row
    left, right = x[y < np.median(y)].mean(), x[y > np.median(y)].mean()
    assert left < right
    assert len(np.unique(y)) > 100


def test_empty_confusion_matrix_is_drawn(tmp_path):
    classification.confusion_matrix(np.zeros((2, 2), int), NAMES[:2], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").exists()


def test_edge_maps_share_one_scale_with_zero_as_grey(tmp_path, drawn):
    maps = {
        1: np.stack([np.full((4, 4), 2.0), np.zeros((4, 4))]),
        2: np.stack([np.full((2, 2), -2.0), np.ones((2, 2))]),
    }
    filters = {"horizontal": np.eye(3), "vertical": -np.eye(3)}
    convolution.edge_maps(np.zeros((4, 4)), filters, maps, tmp_path / "edges.png")

    def gray(name, stride):
        """Returns the grey value of the first pixel in the panel of this filter and stride."""
        titles = {axes.get_title("left").lower(): axes for axes in drawn[0].axes}
        (axes,) = [axes for title, axes in titles.items() if name in title and f"stride {stride}" in title]
        (image,) = axes.images
        return image.to_rgba(np.asarray(image.get_array())[0, 0])[0]

    assert gray("horizontal", 1) == 1.0 and gray("horizontal", 2) == 0.0
    assert gray("vertical", 1) == pytest.approx(0.5, abs=0.01)
    assert gray("vertical", 2) == pytest.approx(0.75, abs=0.01)


def test_charts_do_not_change_matplotlib_settings(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    latent.scatter(*_codes(), NAMES, tmp_path / "scatter.png")
    assert dict(matplotlib.rcParams) == before


def test_words():
    assert words("kl_loss") == "KL loss"
    assert words("latent_scatter") == "Latent scatter"


def test_names_with_dollar_signs_are_no_formulas_even_in_latex(tmp_path):
    names = ("$0_$10", "$10_$20", "{x}%")
    with matplotlib.rc_context({"text.usetex": True}):
        classification.confusion_matrix(np.eye(3, dtype=int), names, tmp_path / "matrix.png")
        latent.scatter(*_codes(), names, tmp_path / "scatter.png")
    assert (tmp_path / "matrix.png").exists() and (tmp_path / "scatter.png").exists()
