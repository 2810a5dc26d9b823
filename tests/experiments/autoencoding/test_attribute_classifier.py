"""Groups of attributes that exclude each other."""

from experiments.autoencoding.attribute_classifier import GROUPS, related_attributes
from gdl_jax.data.images import avatars


def test_an_edit_may_change_the_attributes_of_its_group():
    names = avatars.ATTRIBUTES
    for group in GROUPS:
        for name in group:
            related = related_attributes(names, name)
            assert {other for other, is_related in zip(names, related, strict=True) if is_related} == set(group)
