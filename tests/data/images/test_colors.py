import numpy as np
from skimage.color import rgb2yiq

from gdl_jax.data.images.colors import with_colors_of


def test_brightness_and_colours_come_from_different_pictures():
    pictures, colors = np.random.default_rng(0).uniform(size=(2, 6, 5, 3))
    mixed = rgb2yiq(with_colors_of(pictures, colors))
    np.testing.assert_allclose(mixed[..., 0], rgb2yiq(pictures)[..., 0], atol=1e-3)
    np.testing.assert_allclose(mixed[..., 1:], rgb2yiq(colors)[..., 1:], atol=1e-3)


def test_a_picture_with_its_own_colours_is_unchanged():
    picture = np.random.default_rng(0).uniform(size=(2, 6, 5, 3))
    np.testing.assert_allclose(with_colors_of(picture, picture[0])[0], picture[0], atol=1e-12)
