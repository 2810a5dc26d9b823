"""Metrics of translated images on constructed images, with small functions in place of trained networks."""

import dataclasses

import numpy as np
import pytest

from experiments import cyclegan, pix2pix
from experiments.adversarial.feature_networks import Features
from experiments.autoencoding.attribute_classifier import AttributeClassifier
from experiments.translation import judging
from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import ArraySource
from gdl_jax.data.images.avatars import BACKGROUND
from gdl_jax.data.images.domains import Paired, TwoDomains, Unpaired, swapped, to_float

NAMES = ("Sunglasses", "Eyeglasses", "Smiling", "Beard")
UNPAIRED = dataclasses.replace(cyclegan.PRESETS["tiny"], features="stub", attribute_classifier="stub")
PAIRED = dataclasses.replace(pix2pix.PRESETS["tiny"], features="stub", attribute_classifier="stub")
SIZE = 16


def brightness(images):
    """Features: the mean colour of each image."""
    return images.mean(axis=(1, 2)), None


def reading(images):
    """Predicts each attribute from a pixel of the middle, where a face has it if the pixel is bright."""
    return images[:, 8, 4 : 4 + len(NAMES), 0] > 0.5


@pytest.fixture(autouse=True)
def stubs(monkeypatch):
    classifier = AttributeClassifier(reading, NAMES, np.full(len(NAMES), 0.9))
    monkeypatch.setattr(judging, "load_features", lambda name: Features("stub", (), brightness, normalise=False))
    monkeypatch.setattr(judging, "load_attribute_classifier", lambda workdir: classifier)


def faces(seed, count, middle, **marks):
    """Returns faces on the avatars' background, with a noisy middle and attributes, uint8 (count, SIZE, SIZE, 3)."""
    rng = np.random.default_rng(seed)
    pictures = np.broadcast_to(np.array(BACKGROUND, np.uint8), (count, SIZE, SIZE, 3)).copy()
    pictures[:, 3:13, 3:13] = rng.integers(middle - 20, middle + 20, (count, 10, 10, 3))
    for name in NAMES:
        has = marks.get(name, np.arange(count) % 2)
        pictures[:, 8, 4 + NAMES.index(name)] = np.broadcast_to(255 * np.asarray(has), count)[:, None]
    return pictures


A = faces(0, 15, 50, Eyeglasses=0, Sunglasses=0)
B = faces(1, 12, 180, Eyeglasses=1, Sunglasses=1)


def unpaired(a=A, b=B):
    source = Unpaired(ArraySource({"image": a}), ArraySource({"image": b}))
    return TwoDomains("faces", source, source, transform=to_float, attributes=NAMES)


def pairs(a=A[:12], b=B):
    source = Paired(ArraySource({"image": a}), ArraySource({"image": b}))
    return TwoDomains("faces", source, source, transform=to_float, attributes=NAMES, paired=True)


def floats(pictures):
    return pictures.astype(np.float32) / 255.0


def test_held_out_images_are_each_taken_once():
    data = unpaired()
    np.testing.assert_array_equal(judging.held_out(data, "test", "a", 100), floats(A))
    np.testing.assert_array_equal(judging.held_out(data, "test", "b", 100), floats(B))
    for limit, count in ((14, 12), (10, 10)):
        np.testing.assert_array_equal(judging.held_out(data, "test", "b", limit), floats(B)[:count])


def test_backgrounds_have_the_avatars_own_colour():
    exact = judging.background(floats(A))
    assert exact[:, :3].all() and not exact[:, 3:13, 3:13].any()


def test_perfect_translations_have_the_best_numbers():
    evaluator = judging.unpaired_evaluator(UNPAIRED, unpaired())
    assert evaluator.num == len(A) + len(B)
    perfect = {"a": faces(2, 12, 50, Eyeglasses=0, Sunglasses=0), "b": faces(3, 15, 180, Eyeglasses=1, Sunglasses=1)}
    numbers = evaluator.evaluate({domain: floats(pictures) for domain, pictures in perfect.items()})
    for into in "ab":
        assert abs(numbers[f"samples/kid_into_{into}"]) < 0.02 * evaluator.reference[f"untranslated/kid_into_{into}"]
        assert numbers[f"samples/has_attribute_of_{into}"] == numbers[f"samples/others_kept_into_{into}"] == 1
        assert numbers[f"samples/background_shift_into_{into}"] == 0
        assert evaluator.reference[f"untranslated/has_attribute_of_{into}"] == 0
        assert evaluator.reference[f"untranslated/others_kept_into_{into}"] == 1
    assert not any("shift" in name for name in evaluator.reference)


def test_unchanged_images_are_as_far_as_the_untranslated_ones():
    evaluator = judging.unpaired_evaluator(UNPAIRED, unpaired())
    numbers = evaluator.evaluate({"a": floats(B), "b": floats(A)})
    for name, value in evaluator.reference.items():
        assert numbers[f"samples/{name.partition('/')[2]}"] == pytest.approx(value)
    assert numbers["samples/background_shift_into_a"] == numbers["samples/background_shift_into_b"] == 0


def test_changed_backgrounds_and_other_attributes_are_measured():
    evaluator = judging.unpaired_evaluator(UNPAIRED, unpaired())
    shifted = floats(A)
    shifted[:, :3] += 0.1 * (np.arange(15) < 5)[:, None, None, None]
    shifted[:3, 8, 4 + NAMES.index("Smiling")] = 1.0  # the second one smiles already
    shifted[:6, 8, 4 + NAMES.index("Sunglasses")] = 1.0
    numbers = evaluator.evaluate({"a": floats(B), "b": shifted})
    rows = 3 / (16 - 10 * 10 / 16)  # share of the background's pixels
    np.testing.assert_allclose(numbers["samples/background_shift_into_b"], 0.1 * rows * 5 / 15, rtol=1e-4)
    np.testing.assert_allclose(numbers["samples/has_attribute_of_b"], 6 / 15)
    np.testing.assert_allclose(numbers["samples/others_kept_into_b"], 1 - 2 / 30)  # of Smiling and Beard


def test_targets_follow_the_domains_and_the_direction():
    forth = judging.targets(UNPAIRED, NAMES)
    back = judging.targets(dataclasses.replace(UNPAIRED, direction="BtoA"), NAMES)
    assert forth["a"][:2] == back["b"][:2] == (NAMES.index("Eyeglasses"), False)
    assert forth["b"][:2] == back["a"][:2] == (NAMES.index("Sunglasses"), True)
    np.testing.assert_array_equal(forth["a"].related, [True, True, False, False])
    assert judging.targets(dataclasses.replace(UNPAIRED, domains=("Hat", "Beard")), NAMES) == {}
    assert judging.targets(dataclasses.replace(UNPAIRED, domains=()), NAMES) == {}
    evaluator = judging.unpaired_evaluator(dataclasses.replace(UNPAIRED, direction="BtoA"), swapped(unpaired()))
    numbers = evaluator.evaluate({"a": floats(A), "b": floats(B)})
    assert numbers["samples/has_attribute_of_a"] == numbers["samples/has_attribute_of_b"] == 0


def test_true_images_have_the_best_numbers_of_pairs():
    evaluator = judging.paired_evaluator(PAIRED, pairs())
    best = evaluator.evaluate(floats(B))
    assert best["samples/l1"] == 0 and best["samples/ssim"] == pytest.approx(1) and best["samples/psnr"] > 58
    assert best["samples/attributes_right"] == 1
    worse = evaluator.evaluate(floats(A[:12]))
    assert abs(best["samples/kid"]) < 0.05 * worse["samples/kid"]
    np.testing.assert_allclose(worse["samples/l1"], np.abs(floats(A[:12]) - floats(B)).mean(), rtol=1e-5)
    assert worse["samples/attributes_right"] == 0.5  # Eyeglasses and Sunglasses of four are wrong
    assert worse["samples/ssim"] < 0.9 and worse["samples/psnr"] < 20


def test_perceptual_distance_is_measured_with_vgg16(monkeypatch):
    distance = type(
        "Stub", (), {"name": "stub", "measure": staticmethod(lambda a, b: np.abs(a - b).max(axis=(1, 2, 3)))}
    )
    monkeypatch.setattr(judging, "load_perceptual_distance", lambda: distance)
    config = dataclasses.replace(PAIRED, features="vgg16", attribute_classifier="")
    numbers = judging.paired_evaluator(config, pairs()).evaluate(floats(B) * 0.5)
    assert set(numbers) == {f"samples/{name}" for name in ("l1", "psnr", "ssim", "kid", "perceptual_distance")}
    assert numbers["samples/perceptual_distance"] == pytest.approx((0.5 * floats(B)).max(axis=(1, 2, 3)).mean())


def test_few_images_and_networks_for_other_domains_are_refused():
    for evaluator, config, data in (
        (judging.unpaired_evaluator, UNPAIRED, unpaired(b=B[:9])),
        (judging.paired_evaluator, PAIRED, pairs(A[:9], B[:9])),
    ):
        with pytest.raises(ConfigError) as error:
            evaluator(config, data)
        assert error.value.field == "features"
        assert evaluator(dataclasses.replace(config, features="", attribute_classifier=""), data) is not None
    with pytest.raises(ConfigError) as error:
        judging.unpaired_evaluator(dataclasses.replace(UNPAIRED, domains=("Hat", "Beard")), unpaired())
    assert error.value.field == "attribute_classifier"
    with pytest.raises(ConfigError) as error:
        judging.paired_evaluator(PAIRED, pairs(A[:12, :8, :8], B[:, :8, :8]))
    assert error.value.field == "image_size"
    other = dataclasses.replace(UNPAIRED, dataset="apple2orange", features="", attribute_classifier="")
    assert judging.unpaired_evaluator(other, unpaired()) is None
