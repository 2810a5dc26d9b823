"""Compares our CMA-ES with evosax's and pycma: time per generation, and progress.

    python -m experiments.bench.cma_es                                       the controller's size, minutes
    python -m experiments.bench.cma_es --dimensions=20 --population=12 --generations=300
    python -m experiments.bench.cma_es --seeds=5 --out=cma_es.json

Each starts at a vector of ones and minimises the sphere, sum x_i^2, and the ellipsoid, sum 10^(6 (i - 1) / (n - 1))
x_i^2; both have the minimum 0. The table has the mean time of a generation, including the fitness but not compilation,
and log10 of the best value in some generations; each is the median over seeds. Ours and evosax's run as one compiled
loop in float32; pycma is NumPy in float64, with one call of a vectorised function per generation. pycma is in the extra
[bench]; without it, its rows are omitted.
"""

import importlib.metadata
import importlib.util
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import lax

from gdl_jax.core.json_files import write_json
from gdl_jax.learners.evolution_strategies import make_strategy
from gdl_jax.runs import command

COLUMNS = 6  # generations in the table
Function = Callable[[Any], Any]  # (lambda, n) -> (lambda,), on NumPy's and JAX's arrays


class Run(NamedTuple):
    """Result of a search: seconds of all generations, and the best value of each, (generations,)."""

    seconds: float
    best: np.ndarray


def sphere(x):
    """Returns sum x_i^2."""
    return (x**2).sum(-1)


def ellipsoid(x):
    """Returns sum 10^(6 (i - 1) / (n - 1)) x_i^2, with condition number 10^6."""
    scales = 10 ** (6 * np.arange(x.shape[-1]) / (x.shape[-1] - 1))
    return (x**2 * scales.astype(x.dtype)).sum(-1)


FUNCTIONS: dict[str, Function] = {"sphere": sphere, "ellipsoid": ellipsoid}


def run_strategy(
    name: str, function: Function, dimensions: int, population: int, sigma: float, generations: int, seed: int
) -> Run:
    """Runs a strategy of `learners.evolution_strategies`, all generations in one compiled call."""
    start = jnp.ones(dimensions)
    algorithm, params, _ = make_strategy(name, population, start, sigma)

    def generation(state, key):
        ask_key, tell_key = jax.random.split(key)
        individuals, state = algorithm.ask(ask_key, state, params)
        values = function(individuals)
        state, _ = algorithm.tell(tell_key, individuals, values, state, params)
        return state, values.min()

    def search(state, key):
        return lax.scan(generation, state, jax.random.split(key, generations))

    init_key, key = jax.random.split(jax.random.key(seed))
    state = algorithm.init(init_key, start, params)
    compiled = jax.jit(search).lower(state, key).compile()
    began = time.perf_counter()
    _, best = jax.block_until_ready(compiled(state, key))
    return Run(time.perf_counter() - began, np.asarray(best, np.float64))


def run_pycma(function: Function, dimensions: int, population: int, sigma: float, generations: int, seed: int) -> Run:
    """Runs pycma with its defaults, without early stopping."""
    import cma

    options = {"popsize": population, "seed": seed + 1, "verbose": -9}  # seed 0 would use the clock
    search, best = cma.CMAEvolutionStrategy(np.ones(dimensions), sigma, options), []
    began = time.perf_counter()
    for _ in range(generations):
        individuals = search.ask()
        values = function(np.asarray(individuals))
        search.tell(individuals, values.tolist())
        best.append(values.min())
    return Run(time.perf_counter() - began, np.asarray(best))


def measure(
    functions: dict[str, Function], dimensions: int, population: int, sigma: float, generations: int, seeds: int
) -> list[dict[str, Any]]:
    """Returns a row per function and implementation: names, ms per generation, {generation: log10 of best value}."""
    shown = sorted({max(1, generations * (i + 1) // COLUMNS) for i in range(COLUMNS)})
    runners = {"gdl_jax": "cma_es", "evosax": "evosax_cma_es"} | (
        {"pycma": None} if importlib.util.find_spec("cma") else {}
    )
    rows = []
    for title, function in functions.items():
        for name, strategy in runners.items():
            setting = (function, dimensions, population, sigma, generations)
            runs = [run_strategy(strategy, *setting, s) if strategy else run_pycma(*setting, s) for s in range(seeds)]
            best = np.median([np.log10(run.best) for run in runs], axis=0)
            rows.append(
                {
                    "function": title,
                    "name": name,
                    "ms_per_generation": 1000 * float(np.median([run.seconds for run in runs])) / generations,
                    "log10_best": {str(g): float(best[g - 1]) for g in shown},
                }
            )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as a text table."""
    shown = list(rows[0]["log10_best"])
    lines = [f"{'function':<10} {'':<8} {'ms':>7}  log10 of the best in generation"]
    lines.append(" " * 29 + "".join(f"{g:>8}" for g in shown))
    for row in rows:
        values = "".join(f"{row['log10_best'][g]:8.2f}" for g in shown)
        lines.append(f"{row['function']:<10} {row['name']:<8} {row['ms_per_generation']:7.2f}  {values}")
    return "\n".join(lines)


def _main(values: flags.FlagValues) -> None:
    warnings.simplefilter("ignore")  # pycma warns about ignored stopping criteria
    setting = {name: values[name].value for name in ("dimensions", "population", "sigma", "generations", "seeds")}
    rows = measure(FUNCTIONS, **setting)
    sys.stdout.write(table(rows) + "\n")
    if values.out:
        packages = [name for name in ("jax", "evosax", "cma") if importlib.util.find_spec(name)]
        versions = {name: importlib.metadata.version(name) for name in packages}
        about = {"machine": platform.machine(), "device": jax.devices()[0].device_kind, "versions": versions}
        write_json(Path(values.out), setting | about | {"rows": rows})


def main(argv=None) -> None:
    """Runs `python -m experiments.bench.cma_es`."""
    values = command.new_flags()
    flags.DEFINE_integer("dimensions", 867, "parameters", lower_bound=2, flag_values=values)
    flags.DEFINE_integer("population", 64, "individuals per generation", lower_bound=2, flag_values=values)
    flags.DEFINE_float("sigma", 0.1, "initial step size", lower_bound=0, flag_values=values)
    flags.DEFINE_integer("generations", 600, "number of generations", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seeds", 1, "runs of each implementation", lower_bound=1, flag_values=values)
    command.define_path("out", None, "JSON file to write", values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
