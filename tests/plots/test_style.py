import numpy as np
from PIL import Image

from gdl_jax.plots import style

RNG = np.random.default_rng(0)


def test_saves_a_picture_pixel_for_pixel_and_clipped(tmp_path):
    picture = RNG.uniform(-0.5, 1.5, size=(6, 9, 3))
    style.save(picture, tmp_path / "picture.png")
    saved = np.asarray(Image.open(tmp_path / "picture.png"))
    np.testing.assert_array_equal(saved, np.round(255 * picture.clip(0, 1)))


def test_a_strip_shows_pictures_of_any_sizes_side_by_side(tmp_path):
    small, tall = RNG.uniform(size=(40, 30, 3)), RNG.uniform(size=(2 * style.TALLEST, 100, 3))
    style.strip([small, tall], ["small", "tall"], tmp_path / "strip.png")
    pixels = np.asarray(Image.open(tmp_path / "strip.png"))
    assert pixels.shape[1] == 30 + 50 + style.GAP
    top = pixels.shape[0] - style.TALLEST
    np.testing.assert_array_equal(pixels[top : top + 40, :30], np.round(255 * small))


def test_a_film_has_a_frame_for_each_picture(tmp_path):
    style.film(list(RNG.uniform(size=(3, 20, 30, 3))), tmp_path / "film.gif", 5)
    assert Image.open(tmp_path / "film.gif").n_frames == 3


def test_terms_are_drawn_from_two_evaluations_on(tmp_path):
    rows = [
        {"step": step, "test/evaluations": step, "test/loss": 9 - step, "test/content": step, "test/style": 8 - step}
        | {"test/total_variation": 1.0}
        for step in range(4)
    ]
    assert not style.term_curves(rows[:1], tmp_path / "one.png")
    assert not (tmp_path / "one.png").exists()
    assert style.term_curves([*rows, {"step": 4, "train/loss": 1.0}], tmp_path / "terms.png")
    assert (tmp_path / "terms.png").stat().st_size > 1000


def test_gram_matrices_are_drawn_for_dead_channels_too(tmp_path):
    pictures, maps = [RNG.uniform(size=(8, 8, 3))] * 3, [np.zeros((4, 4, 3))] * 3
    style.gram_matrices(pictures, ["a", "b", "c"], maps, [1, 2, 3], tmp_path / "gram.png")
    assert (tmp_path / "gram.png").is_file()
