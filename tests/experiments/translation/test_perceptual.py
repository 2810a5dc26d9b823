"""The perceptual distance on the bundled VGG16."""

import jax
import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from experiments.translation import perceptual
from gdl_jax.models import vgg


@pytest.fixture(scope="module")
def distance():
    return perceptual.load_perceptual_distance()


@pytest.fixture(scope="module")
def photo():
    return (data.astronaut()[None, :64, 180:244] / 255.0).astype(np.float32)


def test_matches_numpy_on_the_network_s_features(distance, photo):
    pair = np.concatenate([photo, photo[:, ::-1]])
    features = jax.jit(vgg.VGG16().apply)(vgg.bundled_weights(), pair)
    expected = 0.0
    for layer in ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"):
        maps = np.asarray(features[layer], np.float64)
        maps /= np.sqrt(np.square(maps).sum(-1, keepdims=True)) + 1e-10
        expected += np.square(maps[0] - maps[1]).sum(-1).mean()
    np.testing.assert_allclose(distance.measure(pair[:1], pair[1:]), [expected], rtol=1e-3)


@pytest.mark.parametrize("change", ["blur", "noise"])
def test_grows_with_the_change(distance, photo, change):
    if change == "blur":
        changed = [ndimage.gaussian_filter(photo, (0, width, width, 0)) for width in (0.5, 1, 2, 4)]
    else:
        noise = np.random.default_rng(0).normal(size=photo.shape).astype(np.float32)
        changed = [np.clip(photo + scale * noise, 0, 1) for scale in (0.02, 0.05, 0.1, 0.3)]
    changed = np.concatenate([photo, *changed])
    values = distance.measure(np.repeat(photo, len(changed), axis=0), changed)
    assert values[0] == 0 and (np.diff(values) > 0).all()
    np.testing.assert_allclose(distance.measure(changed, np.repeat(photo, len(changed), axis=0)), values, rtol=1e-4)


def test_does_not_depend_on_the_batch(distance, photo, monkeypatch):
    a = np.concatenate([np.roll(photo, shift, axis=1) for shift in range(5)])
    b = a[:, :, ::-1]
    together = distance.measure(a, b)
    monkeypatch.setattr(perceptual, "BATCH", 2)
    np.testing.assert_allclose(distance.measure(a, b), together, rtol=1e-3)


def test_grey_images_are_repeated_in_all_channels(distance, photo):
    grey = photo.mean(axis=-1, keepdims=True)
    colour = np.repeat(grey, 3, axis=-1)
    np.testing.assert_allclose(distance.measure(grey, grey[:, ::-1]), distance.measure(colour, colour[:, ::-1]))
    with pytest.raises(ValueError):
        distance.measure(grey, np.concatenate([grey, grey]))
