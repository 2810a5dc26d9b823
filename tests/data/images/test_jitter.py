"""Random enlargement, crops and mirroring of images, against jax.image.resize and crops of its result."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.data.images.jitter import jitter, jitter_domains

IMAGE = np.random.default_rng(0).uniform(size=(8, 12, 3)).astype(np.float32)  # not square
KEYS = jax.random.split(jax.random.key(0), 64)


def jittered(images, keys=KEYS, **options):
    """Returns one image, or one image per key, changed by each key."""
    axes = (0 if images.ndim == 4 else None, 0)
    return np.asarray(jax.jit(jax.vmap(partial(jitter, **options), axes))(images, keys))


def crops(image, size):
    """Returns all crops of a size, {(row, column): image}."""
    free = [big - small + 1 for big, small in zip(image.shape[:2], size, strict=True)]
    return {(y, x): image[y : y + size[0], x : x + size[1]] for y in range(free[0]) for x in range(free[1])}


def test_enlarged_images_are_crops_at_every_place():
    larger = np.asarray(jax.image.resize(IMAGE, (10, 15, 3), "linear"))
    places = []
    for image in jittered(IMAGE, enlarge=1.25, flip=False):
        assert image.shape == IMAGE.shape
        found = [place for place, crop in crops(larger, (8, 12)).items() if np.allclose(crop, image, atol=1e-5)]
        assert len(found) == 1
        places += found
    assert set(places) == {(y, x) for y in range(3) for x in range(4)}


def test_half_of_the_images_are_mirrored():
    images = jittered(IMAGE)
    mirrored = np.array([np.array_equal(image, IMAGE[:, ::-1]) for image in images])
    assert all(np.array_equal(image, IMAGE) for image in images[~mirrored])
    assert 16 <= mirrored.sum() <= 48


def test_nothing_changes_without_enlargement_and_mirroring():
    np.testing.assert_array_equal(jittered(IMAGE, flip=False)[0], IMAGE)


def test_enlarged_images_are_mirrored_too():
    larger = np.asarray(jax.image.resize(IMAGE, (10, 15, 3), "linear"))
    possible = [crop for each in crops(larger, (8, 12)).values() for crop in (each, each[:, ::-1])]
    found = [
        [number for number, crop in enumerate(possible) if np.allclose(crop, image, atol=1e-5)]
        for image in jittered(IMAGE, enlarge=1.25)
    ]
    assert all(len(each) == 1 for each in found)
    assert {number % 2 for (number,) in found} == {0, 1}


def test_the_same_key_changes_an_image_alike():
    once, again = (jittered(IMAGE, enlarge=1.25) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert len({image.tobytes() for image in once}) > 12


@pytest.mark.parametrize("paired", [True, False])
def test_pairs_are_treated_alike_and_other_domains_are_not(paired):
    a = np.repeat(IMAGE[None], 16, axis=0)
    batch = {"a": a, "b": 1.0 - a, "a_first": np.arange(16, dtype=np.float32)}
    change = jax.jit(partial(jitter_domains, enlarge=1.25, flip=True, paired=paired))
    changed = change(batch, KEYS[:16])
    assert changed.keys() == batch.keys() and changed["a"].shape == changed["b"].shape == a.shape
    np.testing.assert_array_equal(changed["a_first"], batch["a_first"])
    alike = [np.allclose(one, 1.0 - other, atol=1e-5) for one, other in zip(changed["a"], changed["b"], strict=True)]
    assert all(alike) if paired else not any(alike[:3]) and sum(alike) < 4
    some = change({name: jnp.asarray(array[4:8]) for name, array in batch.items()}, KEYS[4:8])
    np.testing.assert_allclose(some["b"], changed["b"][4:8], atol=1e-6)  # a key per example
