"""Palettes: fitting, encoding of pixels as the nearest colours, decoding."""

import jax
import numpy as np

from gdl_jax.data.images import palette

FLAT = np.array([[250, 250, 250], [10, 20, 30], [200, 40, 40], [40, 90, 200], [90, 200, 90]], np.uint8)


def flat_images(count=6, size=8):
    index = np.random.default_rng(0).integers(0, len(FLAT), (count, size, size))
    return index, FLAT[index]


def test_images_of_few_colours_are_decoded_exactly():
    index, images = flat_images()
    found = palette.fit(images, 16)
    features = np.asarray(jax.jit(palette.encode)(found, images / 255.0))
    assert features.shape == (6, 64) and features.dtype == np.int32
    assert len({(a, b) for a, b in zip(features.ravel(), index.ravel(), strict=True)}) == len(FLAT)
    decoded = np.asarray(palette.decode(found, features, 8))
    np.testing.assert_allclose(decoded, images / 255.0, atol=1 / 255)


def test_pixels_get_the_nearest_colour_up_to_a_shades_width():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    found = palette.fit(images, 32)
    pixels = (images / 255.0).reshape(-1, 3)
    distances = np.linalg.norm(pixels[:, None] - found.colors, axis=-1)
    features = np.asarray(palette.encode(found, images / 255.0)).ravel()
    excess = distances[np.arange(len(pixels)), features] - distances.min(1)
    assert excess.max() < np.sqrt(3) / palette.SHADES
    assert found.colors.shape == (32, 3)


def test_grey_images_have_a_palette():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    found = palette.fit(images, 64)
    features = np.asarray(palette.encode(found, images / 255.0))
    assert features.min() >= 0 and features.max() < len(found.colors)
    assert np.abs(np.asarray(palette.decode(found, features, 16)) - images / 255.0).max() < 0.05
