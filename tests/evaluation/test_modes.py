import numpy as np
import pytest

from gdl_jax.evaluation.modes import class_counts, inception_score, kl_to_real, kl_to_uniform, modes, modes_covered


def test_inception_score_of_extreme_cases():
    assert inception_score(np.eye(10)[np.arange(1000) % 10]) == pytest.approx(10)
    assert inception_score(np.eye(10)[np.zeros(1000, int)]) == pytest.approx(1)
    assert inception_score(np.full((1000, 10), 0.1)) == pytest.approx(1)


def sure(*counts, probability=0.9):
    """Returns probabilities (N, K) that assign `counts` images to each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rest = (1 - probability) / (len(counts) - 1)
    return np.where(np.eye(len(counts), dtype=bool)[labels], probability, rest)


def test_images_are_counted_by_class():
    assert class_counts(sure(50, 49, 0, 1)).tolist() == [50, 49, 0, 1]
    assert class_counts(sure(5, 3, 2, probability=0.4), least=0.5).tolist() == [0, 0, 0]


def test_covered_modes_need_confident_real_and_generated_images():
    real = sure(100, 100, 100, 0)
    assert modes(real).tolist() == [True, True, True, False]
    assert modes_covered(real, real) == 3
    assert modes_covered(real, sure(199, 1, 0, 100)) == 1  # neither single images nor classes without real images count
    assert modes_covered(sure(0, 300, 0, 0), sure(0, 200, 0, 0)) == 1  # the only class is covered
    unsure = sure(25, 25, 25, 25, probability=0.4)
    assert modes_covered(real, unsure) == 0
    assert modes_covered(real, np.concatenate([sure(50, 0, 0, 0), unsure])) == 1


def test_divergences_of_class_counts():
    assert kl_to_uniform(np.array([7, 7, 0, 0])) == pytest.approx(np.log(2))
    assert kl_to_uniform(np.full(4, 9)) == pytest.approx(0)
    many = np.array([100_000, 300_000])
    assert kl_to_real(many, many) == pytest.approx(0, abs=1e-5)
    assert kl_to_real(np.array([1, 1]), many) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), rel=1e-4)
    lacking = kl_to_real(np.array([1, 0]), np.array([0, 9]))
    assert lacking == pytest.approx(np.log(20))  # half an image in ten
