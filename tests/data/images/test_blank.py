"""Stand-ins must say of a set only what is so."""

import pytest

from gdl_jax.data.images.blank import blank
from gdl_jax.data.images.cifar10 import CLASSES


def test_classes_are_those_of_the_set_or_none():
    assert blank("cifar10", 0).classes == CLASSES
    assert blank("mnist", 0).classes == tuple("0123456789")
    for name in ("quickdraw:camel", "celeba"):
        stand_in = blank(name, 0)
        assert stand_in.classes == () and "label" not in stand_in.train.arrays


@pytest.mark.parametrize("name", ["digits:foo", "cifar10:", "quickdraw", "quickdraw:", "wrodl", "mnits"])
def test_of_other_names_there_is_none(name):
    assert blank(name, 0) is None
