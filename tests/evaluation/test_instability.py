import numpy as np
import pytest

from gdl_jax.evaluation.instability import (
    OSCILLATING,
    failure_modes,
    failures_of_seeds,
    oscillation,
    rows_of_seed,
)

ROWS = 100
TIME = np.arange(ROWS)


def rows(generator_loss, norm, right=0.7, modes=10.0, real_modes=10.0):
    return [
        {
            "step": i,
            "train/generator_loss": loss,
            "train/generator_gradient_norm": size,
            "train/real_accuracy": right,
            "train/fake_accuracy": right,
            "samples/modes_covered": modes,
            "samples/modes_of_real_images": real_modes,
        }
        for i, (loss, size) in enumerate(zip(generator_loss, norm, strict=True))
    ]


def noise(seed, size=0.5):
    return size * np.random.default_rng(seed).normal(size=ROWS)


def wave(period, phase=0.0):
    return np.sin(2 * np.pi * TIME / period + phase)


STEADY, SWINGING = 1 + noise(0, 0.01), 2 + wave(8)
ALIVE, DYING = np.full(ROWS, 1.0), np.geomspace(1, 1e-5, ROWS)


def test_oscillation_is_the_share_of_variance_of_a_wave():
    assert oscillation(np.full(ROWS, 3.7)) == 0
    assert oscillation(wave(5)) == pytest.approx(1, abs=0.02)
    assert oscillation(np.tile([0.2, 2.0], ROWS // 2)) == pytest.approx(1, abs=0.02)
    # A wave has variance 1/2; with noise of the same variance its share is a half.
    shares = [oscillation(wave(7.3, seed) + noise(seed, np.sqrt(0.5))) for seed in range(50)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("offset", [-1e3, 0.0, 5.0])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_oscillation_is_invariant_to_offset_and_scale(offset, factor):
    losses = wave(6) + noise(3)
    assert oscillation(factor * (losses + offset)) == pytest.approx(oscillation(losses), rel=1e-6)


def test_threshold_separates_waves_from_noise_trends_and_drift():
    flagged = {
        "noise": [noise(seed) for seed in range(200)],
        "trend": [0.1 * TIME + noise(seed) for seed in range(200)],
        "decay": [10 * np.exp(-TIME / 20) + noise(seed, 0.05) for seed in range(200)],
        "drift": [noise(seed).cumsum() for seed in range(200)],
        "wave": [wave(period, seed) + noise(seed, 0.3) for period in (2.5, 4, 8, 14) for seed in range(50)],
        "wave on a trend": [wave(6, seed) - 0.1 * TIME + noise(seed, 0.3) for seed in range(200)],
    }
    shares = {name: np.mean([oscillation(each) > OSCILLATING for each in many]) for name, many in flagged.items()}
    assert max(shares[name] for name in ("noise", "trend", "decay", "drift")) <= 0.01, shares
    assert min(shares[name] for name in ("wave", "wave on a trend")) >= 0.99, shares


def test_oscillation_of_short_logs_is_zero():
    assert oscillation([]) == oscillation([1.0]) == oscillation(wave(4)[:30]) == 0


def test_healthy_logs_have_no_failure_modes():
    assert failure_modes(rows(STEADY, ALIVE)) == {}
    assert failure_modes([]) == {}
    assert failure_modes(rows(STEADY, ALIVE, modes=1.0, real_modes=1.0)) == {}  # trained on one class only


@pytest.mark.parametrize(
    ("log", "failure"),
    [
        (rows(SWINGING, ALIVE), "oscillating loss"),
        (rows(SWINGING - 2, ALIVE), "oscillating loss"),
        (rows(STEADY, DYING), "vanishing gradient"),
        (rows(STEADY, ALIVE, right=1.0), "overwhelming critic"),
        (rows(STEADY, ALIVE, modes=2.0), "mode collapse"),
    ],
)
def test_each_failure_mode_is_detected(log, failure):
    assert set(failure_modes(log)) == {failure}


def test_single_outliers_are_no_failure():
    spiked = ALIVE.copy()
    spiked[50], spiked[-1] = 1e5, 1e-9
    log = rows(STEADY, spiked)
    log[-1] |= {"train/real_accuracy": 1.0, "train/fake_accuracy": 1.0}
    assert failure_modes(log) == {}


@pytest.mark.parametrize("key", ["seeds", "replicas"])  # the latter in logs of older versions
def test_failures_are_found_per_seed(key):
    each = [rows(STEADY, ALIVE, modes=modes) for modes in (10.0, 1.0, 9.0, 2.0)]
    log = [
        {name: np.mean([row[name] for row in together]) for name in together[0]}
        | {key: {name: [row[name] for row in together] for name in together[0] if name != "step"}}
        for together in zip(*each, strict=True)
    ]
    assert failure_modes(log) == {}  # the means of all seeds
    assert rows_of_seed(log, 2) == each[2]
    text = failures_of_seeds(log, seed=5, seeds=4)
    assert "mode collapse in 2 of 4 seeds" in text and "\n" not in text
    assert [f"seed {seed}" in text for seed in (5, 6, 7, 8)] == [False, True, False, True]
    assert failures_of_seeds(each[0], seed=5, seeds=1) == ""
    (evidence,) = failure_modes(each[1]).values()
    assert evidence in failures_of_seeds(each[1], seed=5, seeds=1)
