"""What goes wrong when two networks play against each other, read off the log (book chapter 4, "GAN challenges")."""

from collections.abc import Mapping, Sequence

import numpy as np

OSCILLATING = 0.5  # mean change of a loss from row to row, in standard deviations of a steady loss' own size
VANISHING = 1e-3  # the generator's gradient norm, relative to its largest
COLLAPSED = 0.5  # share of the modes below which a model has collapsed


def oscillation(losses: Sequence[float]) -> float:
    """Mean |change| from one row of the log to the next over the mean |loss|: how much of a loss is to and fro.

    Over the second half of the training, so that the fall from the start does not count; 0 for a constant loss.
    """
    values = np.asarray(losses, np.float64)[len(losses) // 2 :]
    if len(values) < 2:
        return 0.0
    return float(np.abs(np.diff(values)).mean() / max(np.abs(values).mean(), 1e-12))


def failure_modes(rows: Sequence[Mapping[str, float]], classes: int = 0) -> dict[str, str]:
    """{failure: what was seen}, of those that the log shows; {} where it shows none.

    - Oscillating loss: `oscillation` of the generator's loss above OSCILLATING.
    - Vanishing gradient: the generator's gradient norm at the end below VANISHING times its largest.
    - Overwhelming critic: right of 99.9 % of both real and generated images, so that it has little left to teach.
    - Mode collapse: the samples cover less than COLLAPSED of the classes.

    Args:
      rows: of metrics.jsonl.
      classes: that the classifier knows; 0 where no modes were counted.
    """

    def series(name):
        return [row[name] for row in rows if name in row]

    found = {}
    losses = series("train/generator_loss")
    if losses and (share := oscillation(losses)) > OSCILLATING:
        found["oscillating loss"] = f"the generator's loss moves by {share:.0%} of its size from row to row"
    norms = series("train/generator_gradient_norm")
    if norms and norms[-1] < VANISHING * max(norms):
        found["vanishing gradient"] = f"the generator's gradient norm fell from {max(norms):.3g} to {norms[-1]:.3g}"
    right = [series("train/real_accuracy"), series("train/fake_accuracy")]
    if all(right) and min(accuracy[-1] for accuracy in right) > 0.999:
        found["overwhelming critic"] = "the critic is right of all images, real and generated"
    covered = [value for row in rows for name, value in row.items() if name.endswith("/modes_covered")]
    if classes and covered and covered[-1] < COLLAPSED * classes:
        found["mode collapse"] = f"samples cover {covered[-1]:g} of {classes} classes"
    return found
