"""Pictures contain each complete image at its position, with its text."""

import numpy as np
import pytest
from PIL import Image

from gdl_jax.plots import images
from gdl_jax.plots.figure import RIGHT, WRONG
from tests.plots.pixels import box_of, has_color, read, solid

COLORS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff")


def test_grid_is_filled_row_by_row(tmp_path):
    images.image_grid(solid(COLORS[:5]), tmp_path / "grid.png", columns=3)
    boxes = np.array([box_of(read(tmp_path / "grid.png"), color) for color in COLORS[:5]])
    left, top = boxes[:, 0], boxes[:, 1]
    assert left[0] == left[3] == 0 and left[1] == left[4] and left[0] < left[1] < left[2]
    assert (top[:3] == 0).all() and (top[3:] == top[3]).all() and top[3] >= boxes[0, 3]
    sizes = boxes[:, 2:] - boxes[:, :2]
    assert (sizes == sizes[0, 0]).all() and sizes[0, 0] % 8 == 0  # squares, enlarged by an integer factor


def test_fewer_images_than_columns_leave_no_empty_space(tmp_path):
    images.image_grid(solid(COLORS[:2]), tmp_path / "grid.png", columns=10)
    assert box_of(read(tmp_path / "grid.png"), COLORS[1])[2] == read(tmp_path / "grid.png").shape[1]


def test_grey_images_are_inverted_and_pixels_keep_their_order(tmp_path):
    ink = np.zeros((1, 4, 4, 1), np.float32)
    ink[0, 0, 3] = 1.0
    ink[0, 2, 1] = 0.5
    images.image_grid(ink, tmp_path / "grid.png", columns=1)
    pixels = read(tmp_path / "grid.png")
    factor = pixels.shape[0] // 4
    found = pixels[factor // 2 :: factor, factor // 2 :: factor, 0]
    np.testing.assert_array_equal(found, [[255, 255, 255, 0], [255] * 4, [255, 128, 255, 255], [255] * 4])


def test_values_out_of_range_are_clipped():
    np.testing.assert_array_equal(images.as_rgb(np.array([[[-0.5, 0.2, 1.7]]])), [[[0, 51, 255]]])


def test_small_images_are_enlarged_by_one_integer_factor():
    for count, size in ((60, 28), (1, 28), (3, 7)):
        picture, boxes = images.tile(np.zeros((count, size, size, 1)), 10)
        assert len(set(boxes[:, 2])) == 1 and boxes[0, 2] % size == 0 and boxes[0, 2] > size
        assert (boxes[:, :2] + boxes[:, 2:]).max(0).tolist() == list(picture.shape[1::-1])
        assert boxes[0, 2] <= images.LARGEST_TILE and min(count, 10) * boxes[0, 2] <= images.WIDTH


def test_rows_have_labels_to_the_left_and_headings_above(tmp_path, drawn):
    first, second = solid(COLORS[:3], 32), solid(COLORS[3:], 32)
    images.rows([first, second], ["original", "decoded"], tmp_path / "rows.png", headings=["-1", "0", "+1"])
    boxes = np.array([box_of(read(tmp_path / "rows.png"), color) for color in COLORS]).reshape(2, 3, 4)
    assert (boxes[0, :, 0] == boxes[1, :, 0]).all() and (boxes[0, :, 3] <= boxes[1, :, 1]).all()
    places = _places(drawn[0])
    for row, label in enumerate(["original", "decoded"]):
        _, top, right, bottom = places[label]
        assert right <= boxes[row, 0, 0] and boxes[row, 0, 1] < (top + bottom) / 2 < boxes[row, 0, 3]
    for column, heading in enumerate(["-1", "0", "+1"]):
        left, _, right, bottom = places[heading]
        assert bottom <= boxes[0, column, 1] and boxes[0, column, 0] < (left + right) / 2 < boxes[0, column, 2]


def _places(figure):
    """Returns {text: (left, top, right, bottom)} in pixels from the upper left corner."""
    height = figure.bbox.height
    extents = {text.get_text(): text.get_window_extent() for text in figure.texts}
    return {name: (box.x0, height - box.y1, box.x1, height - box.y0) for name, box in extents.items()}


def test_long_texts_stay_inside_the_picture(tmp_path, drawn):
    label, heading = "a file name " * 20, "a heading much wider than its column"
    images.rows([solid(COLORS[:3], 16)], [label], tmp_path / "rows.png", headings=[heading] * 3)
    figure = drawn[0]
    for text in figure.texts:
        assert text.get_text().endswith("…")
        assert text.get_window_extent().x0 >= 0 and text.get_window_extent().x1 <= figure.bbox.width


def test_labels_and_headings_must_match_the_images(tmp_path):
    with pytest.raises(ValueError):
        images.rows([solid(COLORS)], ["a", "b"], tmp_path / "rows.png")
    with pytest.raises(ValueError):
        images.rows([solid(COLORS)], ["a"], tmp_path / "rows.png", headings=["only one"])


def test_wrong_predictions_are_red_and_show_the_true_class(tmp_path, drawn):
    path = tmp_path / "predictions.png"
    images.predictions(solid(("#808080",) * 3, 32), ["cat", "dog", "frog"], ["cat", "cat", "frog"], path)
    first, second, truth, third = (text.get_text() for text in drawn[0].texts)
    assert (first, second, third) == ("cat", "cat", "frog") and "dog" in truth
    thirds = np.array_split(read(path), 3, axis=1)
    assert [has_color(part, RIGHT).any() for part in thirds] == [True, False, True]
    assert [has_color(part, WRONG).any() for part in thirds] == [False, True, False]


def test_animation_has_all_frames_in_order_at_its_speed(tmp_path):
    images.animation(list(solid(COLORS)), tmp_path / "a.gif", frames_per_second=20)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == len(COLORS) and gif.info["loop"] == 0 and gif.info["duration"] == 50
        for i, color in enumerate(COLORS):
            gif.seek(i)
            assert has_color(np.asarray(gif.convert("RGB")), color).all()


def test_headings_are_above_all_frames_of_an_animation(tmp_path):
    frames = [np.full((40, 200, 3), shade) for shade in (0.0, 0.02, 0.05)]
    images.animation(frames, tmp_path / "a.gif", 20, ["one", "two"])
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (200, 40 + images.LINE)
        for i in range(3):
            gif.seek(i)
            above, frame = np.split(np.asarray(gif.convert("L")), [images.LINE])
            assert frame.max() < 20
            inked = np.flatnonzero((above < 128).any(axis=0))
            assert 30 < inked[0] < 60 < 130 < inked[-1] < 170  # around 50 and 150
