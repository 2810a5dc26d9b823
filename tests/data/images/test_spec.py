"""Specs of image sets: shapes, and classes where they are known."""

import pytest

from gdl_jax.data.images.cifar10 import CLASSES
from gdl_jax.data.images.spec import image_data_spec


def test_classes_are_those_of_the_set_or_empty():
    assert image_data_spec("cifar10", 0).classes == CLASSES
    assert image_data_spec("mnist", 0).classes == tuple("0123456789")
    for name in ("quickdraw:camel", "celeba"):
        spec = image_data_spec(name, 0)
        assert spec.classes == () and "label" not in spec.train.arrays


@pytest.mark.parametrize(
    ("name", "image_size", "shape"),
    [("digits", 0, (28, 28, 1)), ("cifar10", 16, (16, 16, 3)), ("avatars", 0, (128, 128, 3))],
)
def test_images_have_the_shape_of_the_set(name, image_size, shape):
    assert image_data_spec(name, image_size).train.arrays["image"].shape == (1, *shape)


@pytest.mark.parametrize("name", ["digits:foo", "cifar10:", "quickdraw", "quickdraw:", "wrodl", "mnits"])
def test_other_names_have_no_spec(name):
    assert image_data_spec(name, 0) is None
