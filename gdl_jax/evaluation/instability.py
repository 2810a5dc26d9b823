"""What goes wrong when two networks play against each other, read off the log (book chapter 4, "GAN challenges")."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEAST_ROWS = 20  # of a log's second half: noise looks like a wave in fewer
LEAST_PERIODS = 3  # of a wave; what turns less often is a drift
OSCILLATING = 0.6  # `oscillation` that noise exceeds once in about 1,000 logs of 50 rows, and less often in longer ones
VANISHING = 1e-3  # the generator's gradient norm at the end, relative to that at the start
RIGHT = 0.999  # accuracy of a critic that has nothing left to learn
COLLAPSED = 0.5  # share of the modes below which a model has collapsed


def oscillation(losses: Sequence[float]) -> float:
    """Share, in [0, 1], of a loss's variance about its linear trend that one sine wave explains.

    Of the second half of a log: the wave is that which fits best of those with at least LEAST_PERIODS periods in it.
    A steady change is in the trend and noise spreads over all frequencies, so that both score low, and neither adding
    a constant nor a factor changes the score (a Wasserstein loss has no zero). 0 where there are too few rows, or no
    variance in the digits that a log keeps.

    Args:
      losses: (N,), one for each row of the log.
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
    frequencies = np.arange(LEAST_PERIODS / count, 0.5, 0.25 / count)  # neighbours are a quarter of a period apart
    angles = 2 * np.pi * frequencies[:, None] * time
    waves, _ = np.linalg.qr(np.stack([np.cos(angles), np.sin(angles)], axis=-1))  # (F, N, 2), orthonormal
    return float(np.square(rest @ waves).sum(axis=-1).max() / variance)


def of_replica(rows: Sequence[Mapping[str, Any]], replica: int) -> list[dict[str, float]]:
    """The rows of metrics.jsonl as if that replica had been trained alone."""
    each = (row | {name: values[replica] for name, values in row.get("replicas", {}).items()} for row in rows)
    return [{name: value for name, value in row.items() if name != "replicas"} for row in each]


def failure_modes(rows: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """{failure: what was seen}, of those that the log of one training shows; {} where it shows none.

    At the start and at the end mean: averaged over the first and over the last tenth of the rows.

    - Oscillating loss: `oscillation` of the generator's loss above OSCILLATING.
    - Vanishing gradient: the generator's gradient norm at the end below VANISHING times that at the start. All that the
      generator learns from comes through the critic, and what comes through a critic that saturates is nothing (book
      chapter 4): hence the generator's norm, not the critic's.
    - Overwhelming critic: right of more than RIGHT of both real and generated images at the end.
    - Mode collapse: the newest samples cover less than COLLAPSED of the modes of real images, where modes are counted.

    Args:
      rows: of metrics.jsonl; of one replica.
    """

    def series(name):
        return np.array([row[name] for row in rows if name in row])

    def tenths(values):
        count = max(1, len(values) // 10)
        return values[:count].mean(), values[-count:].mean()

    found = {}
    losses = series("train/generator_loss")
    if (share := oscillation(losses)) > OSCILLATING:
        found["oscillating loss"] = f"one wave makes up {share:.0%} of the generator's loss about its trend"
    norms = series("train/generator_gradient_norm")
    if len(norms):
        first, last = tenths(norms)
        if last < VANISHING * first:
            found["vanishing gradient"] = f"the generator's gradient norm fell from {first:.3g} to {last:.3g}"
    accuracies = [series(f"train/{kind}_accuracy") for kind in ("real", "fake")]
    if all(map(len, accuracies)) and min(tenths(accuracy)[1] for accuracy in accuracies) > RIGHT:
        found["overwhelming critic"] = f"the critic is right of more than {RIGHT:.1%} of real and of generated images"
    covered, modes = series("samples/modes_covered"), series("samples/modes_of_real_images")
    if len(covered) and len(modes) and covered[-1] < COLLAPSED * modes[-1]:
        found["mode collapse"] = f"samples cover {covered[-1]:g} of {modes[-1]:g} modes"
    return found


def failures_of_replicas(rows: Sequence[Mapping[str, Any]], seed: int, seeds: int) -> str:
    """`failure_modes` of each replica as one line of text, which names the seeds; "" where there is nothing to tell.

    Args:
      rows: of metrics.jsonl, of replicas with seeds seed, seed + 1, ...
    """
    found: dict[str, dict[int, str]] = {}
    for replica in range(seeds):
        for name, seen in failure_modes(of_replica(rows, replica)).items():
            found.setdefault(name, {})[seed + replica] = seen
    if seeds == 1:
        return "; ".join(f"{name}: {seen[seed]}" for name, seen in found.items())
    texts = []
    for name, seen in found.items():
        each = ", ".join(f"{text} (seed {number})" for number, text in seen.items())
        texts.append(f"{name} in {len(seen)} of {seeds} seeds: {each}")
    return "; ".join(texts)
