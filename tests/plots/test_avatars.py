"""Captions are below their images; bars are as long as their probabilities."""

import numpy as np
import pytest

from gdl_jax.plots.avatars import captioned
from gdl_jax.plots.bars import probability_bars
from tests.plots.pixels import box_of, read, solid

COLORS = ("#ff0000", "#00ff00", "#0000ff")


def test_each_image_has_its_caption_below(tmp_path, drawn):
    captions = [[f"first {i}", f"second {i}"] for i in range(3)]
    captioned(solid(COLORS), captions, tmp_path / "c.png", columns=2)
    pixels = read(tmp_path / "c.png")
    height, width = pixels.shape[:2]
    texts = {text.get_text(): text.get_position() for text in drawn[0].texts}
    assert set(texts) == {line for caption in captions for line in caption}
    for color, (first, second) in zip(COLORS, captions, strict=True):
        left, top, right, bottom = box_of(pixels, color)
        (x, y), (x2, y2) = texts[first], texts[second]
        assert x * width == pytest.approx((left + right) / 2) and x2 == x
        assert bottom < (1 - y) * height < (1 - y2) * height < bottom + (bottom - top)


def test_bars_are_as_long_as_the_probabilities(tmp_path, drawn):
    features = {"a": ("x", "y"), "b": ("p", "q", "r")}
    shares = {"one": [np.array([0.25, 0.75]), np.array([0.5, 0.2, 0.3])], "two": [np.array([1, 0]), np.ones(3) / 3]}
    probability_bars(features, shares, tmp_path / "b.png")
    for j, (axes, (feature, names)) in enumerate(zip(drawn[0].axes, features.items(), strict=True)):
        assert axes.get_title(loc="left") == feature
        assert [label.get_text() for label in axes.get_yticklabels()] == list(names)
        for container, of_series in zip(axes.containers, shares.values(), strict=True):
            np.testing.assert_allclose([bar.get_width() for bar in container], of_series[j])
            places = [bar.get_y() + bar.get_height() / 2 for bar in container]
            assert np.round(places).tolist() == list(range(len(names)))
    assert [text.get_text() for text in drawn[0].legends[0].texts] == list(shares)
