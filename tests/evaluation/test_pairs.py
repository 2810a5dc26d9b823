"""Differences between aligned images, against scikit-image and by hand."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, signal
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gdl_jax.evaluation import pairs


def photographs(channels, size=48):
    """Crops of a photograph (4, size, size, channels) in [0, 1], and the same with noise or blur."""
    photo = data.astronaut()[..., :channels] / 255.0
    crops = np.stack([photo[i : i + size, i : i + size + 5] for i in (0, 60, 130, 200)]).astype(np.float32)
    noisy = np.clip(crops + np.random.default_rng(0).normal(0, 0.1, crops.shape), 0, 1)
    blurred = ndimage.gaussian_filter(crops, (0, 2, 2, 0))
    return crops, np.concatenate([noisy[:2], blurred[2:]]).astype(np.float32)


def scikit_ssim(a, b):
    """Scikit-image crops (11 - 1) / 2 pixels at each border before it averages: the windows inside the image."""
    return structural_similarity(
        a.astype(np.float64),
        b.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_and_psnr_match_scikit_image(channels):
    a, b = photographs(channels)
    np.testing.assert_allclose(pairs.ssim(a, b), [scikit_ssim(x, y) for x, y in zip(a, b, strict=True)], atol=1e-9)
    expected = [peak_signal_noise_ratio(x, y, data_range=1.0) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(pairs.psnr(a, b), expected, rtol=1e-5)
    np.testing.assert_allclose(pairs.l1(a, b), [np.abs(x - y).mean() for x, y in zip(a, b, strict=True)], rtol=1e-5)


def test_ssim_of_the_smallest_image_is_that_of_one_window():
    a, b = (array[:1, :11, :11, :1].astype(np.float64) for array in photographs(1))
    weights = np.outer(*[signal.windows.gaussian(11, 1.5)] * 2)[..., None]
    weights /= weights.sum()
    mean_a, mean_b = (weights * a[0]).sum(), (weights * b[0]).sum()
    variance_a, variance_b = (weights * (a[0] - mean_a) ** 2).sum(), (weights * (b[0] - mean_b) ** 2).sum()
    covariance = (weights * (a[0] - mean_a) * (b[0] - mean_b)).sum()
    expected = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    expected /= (mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4)
    np.testing.assert_allclose(pairs.ssim(a, b), [expected], rtol=1e-9)


def test_equal_images_have_the_best_values():
    a, _ = photographs(3)
    np.testing.assert_array_equal(pairs.l1(a, a), 0)
    np.testing.assert_allclose(pairs.psnr(a, a), -10 * np.log10(1 / 255**2 / 12))
    np.testing.assert_allclose(pairs.ssim(a, a), 1, rtol=1e-12)


def test_blocks_change_neither_values_nor_order(monkeypatch):
    a, b = photographs(3)
    whole = [measure(a, b) for measure in (pairs.l1, pairs.psnr, pairs.ssim)]
    monkeypatch.setattr(pairs, "VALUES_AT_ONCE", 3 * a[0].size)
    for measure, values in zip((pairs.l1, pairs.psnr, pairs.ssim), whole, strict=True):
        np.testing.assert_array_equal(measure(a, b), values)
        assert measure(a[:0], b[:0]).shape == (0,)


def test_memory_does_not_grow_with_the_number_of_images():
    a = np.zeros((4000, 32, 32, 3), np.float16)  # 98 MB in float64
    tracemalloc.start()
    pairs.l1(a, a)
    pairs.ssim(a[:1000], a[:1000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 * 16 * 12


def test_background_shift_ignores_the_subject():
    before = np.full((3, 4, 4, 3), 0.5, np.float32)
    after = before.copy()
    subject = np.zeros((3, 4, 4), bool)
    subject[:, :2] = True
    after[:, :2] = 1.0  # the subject alone
    after[1, 3, :, 0] = 0.1  # 4 of 24 background values by 0.4
    subject[2] = True
    np.testing.assert_allclose(pairs.background_shift(before, after, subject), [0, 0.4 * 4 / 24, np.nan], atol=1e-7)


def test_other_shapes_are_refused():
    images = np.zeros((2, 16, 16, 3))
    for other in (images[:1], images[..., :1], images[0]):
        with pytest.raises(ValueError):
            pairs.l1(images, other)
    with pytest.raises(ValueError):
        pairs.ssim(images[:, :10], images[:, :10])
    with pytest.raises(ValueError):
        pairs.background_shift(images, images, np.zeros((2, 8, 8), bool))
