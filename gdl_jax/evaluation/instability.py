"""Failure modes of GAN training, detected in the log (book chapter 4, "GAN challenges")."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gdl_jax.core.metrics_log import seed_values

LEAST_ROWS = 20  # in the second half of a log; among fewer, noise looks like a wave
LEAST_PERIODS = 3  # of a wave; slower changes are drift
OSCILLATING = 0.6  # least `oscillation`; noise exceeds it in 1 of about 1,000 logs of 50 rows, in fewer longer ones
VANISHING = 1e-3  # final gradient norm of the generator, relative to the initial one
RIGHT = 0.999  # accuracy above which a critic overwhelms the generator
COLLAPSED = 0.5  # share of covered modes below which a generator has collapsed


def oscillation(losses: Sequence[float]) -> float:
    """Returns the share, in [0, 1], of a loss's variance about its linear trend that one sine wave explains.

    It uses the second half of the log and the best-fitting wave with at least LEAST_PERIODS periods. Steady changes
    (removed with the trend) and noise (spread over all frequencies) score low. The score is invariant to adding a
    constant and to scaling, as a Wasserstein loss has no natural zero. It is 0 if there are too few rows, or no
    variance within the logged precision.

    Args:
      losses: (N,), one per row of the log.
    """
    values = np.asarray(losses, np.float64)[len(losses) // 2 :]
    count = len(values)
    if count < LEAST_ROWS:
        return 0.0
    time = np.arange(count)
    rest = values - np.polyval(np.polyfit(time, values, 1), time)
    variance = np.square(rest).sum()
    if np.sqrt(variance / count) <= 1e-7 * np.abs(values).max():
        return 0.0
    frequencies = np.arange(LEAST_PERIODS / count, 0.5, 0.25 / count)  # in steps of a quarter of a period
    angles = 2 * np.pi * frequencies[:, None] * time
    waves, _ = np.linalg.qr(np.stack([np.cos(angles), np.sin(angles)], axis=-1))  # (F, N, 2), orthonormal
    return float(np.square(rest @ waves).sum(axis=-1).max() / variance)


def rows_of_seed(rows: Sequence[Mapping[str, Any]], index: int) -> list[dict[str, float]]:
    """Returns the rows of metrics.jsonl as if the seed at `index` had been trained alone."""
    merged = ({**row, **{name: values[index] for name, values in seed_values(row).items()}} for row in rows)
    return [{name: value for name, value in row.items() if not isinstance(value, Mapping)} for row in merged]


def failure_modes(rows: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Returns {failure mode: evidence} for each failure mode found in the log of one training run.

    "Initial" and "final" values are means over the first and over the last tenth of the rows.

    - Oscillating loss: `oscillation` of the generator's loss is above OSCILLATING.
    - Vanishing gradient: the generator's final gradient norm is below VANISHING times the initial one. The generator is
      trained through the critic, and a saturated critic passes no gradient on (book chapter 4): hence the generator's
      norm, not the critic's.
    - Overwhelming critic: its final accuracy is above RIGHT on both real and generated images.
    - Mode collapse: the last samples cover less than COLLAPSED of the modes of real images (if modes are counted).

    Args:
      rows: of metrics.jsonl, of one seed.
    """

    def series(name):
        return np.array([row[name] for row in rows if name in row])

    def tenths(values):
        count = max(1, len(values) // 10)
        return values[:count].mean(), values[-count:].mean()

    found = {}
    losses = series("train/generator_loss")
    if (share := oscillation(losses)) > OSCILLATING:
        found["oscillating loss"] = f"one wave explains {share:.0%} of the variance of the generator's detrended loss"
    norms = series("train/generator_gradient_norm")
    if len(norms):
        first, last = tenths(norms)
        if last < VANISHING * first:
            found["vanishing gradient"] = f"the generator's gradient norm fell from {first:.3g} to {last:.3g}"
    accuracies = [series(f"train/{kind}_accuracy") for kind in ("real", "fake")]
    if all(map(len, accuracies)) and min(tenths(accuracy)[1] for accuracy in accuracies) > RIGHT:
        found["overwhelming critic"] = f"the critic's accuracy is above {RIGHT:.1%} on real and generated images"
    covered, modes = series("samples/modes_covered"), series("samples/modes_of_real_images")
    if len(covered) and len(modes) and covered[-1] < COLLAPSED * modes[-1]:
        found["mode collapse"] = f"samples cover {covered[-1]:g} of {modes[-1]:g} modes"
    return found


def failures_of_seeds(rows: Sequence[Mapping[str, Any]], seed: int, seeds: int) -> str:
    """Returns the `failure_modes` of all seeds as one line of text; "" if there are none.

    Args:
      rows: of metrics.jsonl.
      seed: the first seed; the others are seed + 1, seed + 2, ...
      seeds: number of seeds.
    """
    found: dict[str, dict[int, str]] = {}
    for index in range(seeds):
        for name, evidence in failure_modes(rows_of_seed(rows, index)).items():
            found.setdefault(name, {})[seed + index] = evidence
    if seeds == 1:
        return "; ".join(f"{name}: {by_seed[seed]}" for name, by_seed in found.items())
    texts = []
    for name, by_seed in found.items():
        each = ", ".join(f"{evidence} (seed {number})" for number, evidence in by_seed.items())
        texts.append(f"{name} in {len(by_seed)} of {seeds} seeds: {each}")
    return "; ".join(texts)
