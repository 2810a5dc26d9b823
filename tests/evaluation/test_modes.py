import numpy as np
import pytest

from gdl_jax.evaluation.modes import class_shares, inception_score, kl_to_uniform, modes_covered


def test_the_score_of_clear_and_even_samples_is_the_number_of_classes():
    assert inception_score(np.eye(10)[np.arange(1000) % 10]) == pytest.approx(10)
    assert inception_score(np.eye(10)[np.zeros(1000, int)]) == pytest.approx(1)
    assert inception_score(np.full((1000, 10), 0.1)) == pytest.approx(1)


def test_modes_and_divergence_of_counted_classes():
    shares = class_shares(np.array([0] * 50 + [1] * 49 + [2]), 4)
    np.testing.assert_allclose(shares, [0.5, 0.49, 0.01, 0])
    assert modes_covered(shares) == 3
    assert modes_covered(shares, least=0.02) == 2
    assert kl_to_uniform(np.array([0.5, 0.5, 0, 0])) == pytest.approx(np.log(2))
    assert kl_to_uniform(np.full(4, 0.25)) == pytest.approx(0)
