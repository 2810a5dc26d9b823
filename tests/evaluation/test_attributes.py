import numpy as np
import pytest

from gdl_jax.evaluation.attributes import attribute_vector, edit_success


def test_attribute_vector_is_recovered_from_noisy_codes():
    rng = np.random.default_rng(0)
    direction = np.array([2.0, 0.0, -1.0])
    has = rng.integers(2, size=5000)
    codes = rng.normal(size=(5000, 3)) + 7 + has[:, None] * direction
    # the standard error of a difference of means of 2,500 and 2,500 is 0.028
    np.testing.assert_allclose(attribute_vector(codes, has), direction, atol=0.12)


@pytest.mark.parametrize("has", [np.zeros(4), np.ones(4)])
def test_attribute_vector_needs_both_values(has):
    with pytest.raises(ValueError):
        attribute_vector(np.ones((4, 2)), has)


def test_edit_success_matches_counts_by_hand():
    before = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]])
    after = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 1, 1, 0], [1, 0, 1, 1]])
    none_related = np.zeros(4, bool)
    assert edit_success(before, after, 0, none_related) == (3 / 4, 8 / 12)
    last_related = np.array([False, False, False, True])
    assert edit_success(before, after, 0, last_related) == (3 / 4, 5 / 8)
