import numpy as np
import pytest

from gdl_jax.evaluation.instability import failure_modes, oscillation


def rows(generator_loss, norm, right=0.7, modes=10.0):
    return [
        {
            "step": i,
            "train/generator_loss": loss,
            "train/generator_gradient_norm": size,
            "train/real_accuracy": right,
            "train/fake_accuracy": right,
            "samples/modes_covered": modes,
        }
        for i, (loss, size) in enumerate(zip(generator_loss, norm, strict=True))
    ]


STEADY, SWINGING = np.full(100, 1.0), np.tile([0.2, 2.0], 50)
ALIVE, DYING = np.full(100, 1.0), np.geomspace(1, 1e-5, 100)


def test_oscillation_is_the_change_relative_to_the_size():
    assert oscillation(STEADY) == 0
    assert oscillation(SWINGING) == pytest.approx(1.8 / 1.1, rel=0.02)


def test_a_healthy_log_shows_nothing():
    assert failure_modes(rows(STEADY, ALIVE), 10) == {}
    assert failure_modes([], 10) == {}


@pytest.mark.parametrize(
    ("log", "failure"),
    [
        (rows(SWINGING, ALIVE), "oscillating loss"),
        (rows(STEADY, DYING), "vanishing gradient"),
        (rows(STEADY, ALIVE, right=1.0), "overwhelming critic"),
        (rows(STEADY, ALIVE, modes=2.0), "mode collapse"),
    ],
)
def test_each_failure_is_named(log, failure):
    assert set(failure_modes(log, 10)) == {failure}
