"""Compares optimisers of neural style transfer on one function from one start: L-BFGS here, Adam, and SciPy's L-BFGS-B.

    python -m experiments.studies.style_optimizers --content=photo.jpg --style=painting.jpg
                                                      the book's loss, 200 evaluations of each; 14 minutes

SciPy's runs in float64 on the host and calls the compiled loss and gradient. It has no bounds and no tolerances, so
that it uses all evaluations; the book's code restarts it every 20 evaluations, which loses the memory of the curvature.
The curves show the lowest loss so far; an L-BFGS step counts all evaluations of its line search. results.json and
losses.png are written to the directory --out.
"""

import dataclasses
import importlib.metadata
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from scipy.optimize import fmin_l_bfgs_b

from experiments import style_transfer
from experiments.style import objective
from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError
from gdl_jax.core.json_files import write_json
from gdl_jax.learners.style_transfer import StyleState, picture_loss
from gdl_jax.plots.style import loss_curves
from gdl_jax.runs import command
from gdl_jax.runs.records import with_absolute_paths
from gdl_jax.runs.tables import as_table

BOOKS_EVALUATIONS = 20  # the book's maxfun, of each call of fmin_l_bfgs_b
FLAGS = ("content", "style", "image_height", "learning_rate", "memory_size")  # of the config
LABELS = {
    "lbfgs": "L-BFGS (gdl_jax)",
    "adam": "Adam",
    "scipy": "L-BFGS-B (SciPy)",
    "scipy_restarted": f"L-BFGS-B (SciPy), restarted every {BOOKS_EVALUATIONS} evaluations",
}


class Curve(NamedTuple):
    """Lowest losses so far: `losses[i]` after `evaluations[i]` evaluations, and the seconds of all, compiled before."""

    evaluations: np.ndarray
    losses: np.ndarray
    seconds: float

    def at(self, evaluations: int) -> float:
        """Returns the lowest loss of at most so many evaluations; of the first step, if it took more."""
        steps = max(1, int((self.evaluations <= evaluations).sum()))
        return float(self.losses[steps - 1])


def by_learner(config: style_transfer.Config, evaluations: int) -> Curve:
    """Returns the curve of the config's own optimiser."""
    data = style_transfer.load(config)
    learner = style_transfer.build(config, data, None)
    batch, key = data.transform(data.train.take(np.zeros(1, np.int64))), jax.random.key(config.seed)
    state = jax.jit(learner.init)(key, batch)
    step = jax.jit(learner.step).lower(state, batch, key).compile()
    used, losses, began = [], [], time.perf_counter()
    while not used or used[-1] < evaluations:
        state, metrics = step(state, batch, key)
        used.append(int(state.evaluations))
        losses.append(float(metrics["loss"]))
    return Curve(np.array(used), np.minimum.accumulate(losses), time.perf_counter() - began)


class Problem(NamedTuple):
    """Problem for SciPy.

    Attributes:
      function: pixels (N,) -> the loss divided by `unit`, and its gradient (N,).
      start: (N,), the pixels to start from.
      unit: loss of the start.
    """

    function: Callable[[np.ndarray], tuple[float, np.ndarray]]
    start: np.ndarray
    unit: float


def problem_of(config: style_transfer.Config) -> Problem:
    """Returns the config's loss as a problem for SciPy."""
    data = style_transfer.load(config)
    learner = style_transfer.build(config, data, None)
    batch = data.transform(data.train.take(np.zeros(1, np.int64)))
    state: StyleState = jax.jit(learner.init)(jax.random.key(config.seed), batch)
    features, weights = objective.make_features(config), objective.make_weights(config)
    loss = partial(picture_loss, features, weights, state.targets[-1])
    start, unit = np.asarray(state.params[-1]), float(state.units[-1])
    compiled = jax.jit(jax.value_and_grad(lambda image: loss(image) / unit)).lower(start).compile()

    def value_and_gradient(pixels):
        value, gradient = compiled(pixels.reshape(start.shape).astype(np.float32))
        return float(value), np.asarray(gradient, np.float64).ravel()

    return Problem(value_and_gradient, start.astype(np.float64).ravel(), unit)


def by_scipy(problem: Problem, evaluations: int, restart_every: int) -> Curve:
    """Returns the curve of SciPy's L-BFGS-B, with its default memory, called anew after `restart_every` evaluations."""
    function, pixels, unit = problem
    losses: list[float] = []

    def recorded(pixels):
        value, gradient = function(pixels)
        losses.append(value * unit)
        return value, gradient

    began = time.perf_counter()
    while len(losses) < evaluations:
        before = len(losses)
        most = min(restart_every, evaluations - before)
        pixels, _, _ = fmin_l_bfgs_b(recorded, pixels, factr=0, pgtol=0, maxfun=most, maxiter=most)
        if len(losses) < before + 2:  # no step lowers the loss any more
            break
    seconds = time.perf_counter() - began
    return Curve(1 + np.arange(len(losses)), np.minimum.accumulate(losses), seconds)


def compare(config: style_transfer.Config, evaluations: int) -> dict[str, Curve]:
    """Returns the curve of each of LABELS."""
    adam = dataclasses.replace(config, optimizer="adam")
    lbfgs = dataclasses.replace(config, learning_rate=style_transfer.Config.learning_rate)
    problem = problem_of(lbfgs)
    runs = {
        "lbfgs": lambda: by_learner(lbfgs, evaluations),
        "adam": lambda: by_learner(adam, evaluations),
        "scipy": lambda: by_scipy(problem, evaluations, evaluations),
        "scipy_restarted": lambda: by_scipy(problem, evaluations, BOOKS_EVALUATIONS),
    }
    curves = {}
    for name, run in runs.items():
        sys.stderr.write(f"{LABELS[name]}\n")
        curves[name] = run()
    return curves


def results(curves: dict[str, Curve], config: style_transfer.Config, evaluations: int) -> dict[str, Any]:
    """Returns the contents of results.json."""
    numbers = {
        f"{name}/{key}": value
        for name, curve in curves.items()
        for key, value in (
            ("loss", curve.at(evaluations)),
            ("seconds_per_evaluation", curve.seconds / int(curve.evaluations[-1])),
        )
    }
    ratio = curves["lbfgs"].at(evaluations) / curves["scipy"].at(evaluations)
    versions = {name: importlib.metadata.version(name) for name in ("jax", "optax", "scipy")}
    return numbers | {
        "lbfgs/loss_relative_to_scipy": ratio,
        "evaluations": evaluations,
        "versions": versions,
        "flags": with_absolute_paths(config),
        "protocol": {"loss": "lowest so far, all terms with their weights", "network": objective.NETWORK},
    }


def _main(values: flags.FlagValues) -> None:
    preset = style_transfer.PRESETS[values.config]
    if preset.optimizer != "lbfgs":
        raise ConfigError("config", values.config, "has another optimiser than L-BFGS")
    config = dataclasses.replace(preset, **config_flags.chosen(style_transfer.Config, values))
    curves = compare(config, values.evaluations)
    found, out = results(curves, config, values.evaluations), Path(values.out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", found)
    points = {LABELS[name]: list(zip(curve.evaluations, curve.losses, strict=True)) for name, curve in curves.items()}
    loss_curves(points, "evaluations of the loss and its gradient", "Lowest loss so far", out / "losses.png")
    rows = [
        [LABELS[name], f"{found[f'{name}/loss']:.4g}", f"{found[f'{name}/seconds_per_evaluation']:.3g}"]
        for name in curves
    ]
    sys.stdout.write(as_table(["optimiser", f"loss after {values.evaluations}", "seconds per evaluation"], rows))
    sys.stderr.write(f"{out / 'results.json'}, {out / 'losses.png'}\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `python -m experiments.studies.style_optimizers`."""
    values = command.new_flags()
    presets = list(style_transfer.PRESETS)
    flags.DEFINE_enum("config", "book", presets, "preset of the loss", flag_values=values)
    flags.DEFINE_integer("evaluations", 200, "evaluations of each optimiser", lower_bound=1, flag_values=values)
    command.define_path("out", "runs/style_optimizers", "directory for the results", values)
    config_flags.define(style_transfer.PRESETS["book"], values, only=FLAGS)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
