"""Evolves for 12 generations on the devices of this process, resuming once, and saves the results.

python -m tests.learners.evolution_worker OUT.npz --parallel=jit|pmap [--population=N]
"""

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gdl_jax.core import loop
from gdl_jax.core.errors import UserError
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import make_evaluate
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.learners.evolution import evolution
from gdl_jax.learners.evolution_strategies import make_strategy

TARGET = {"bias": jnp.array([0.3, -0.2, 0.1]), "kernel": jnp.linspace(-1, 1, 6).reshape(2, 3)}


def fitness(population, keys):
    """Returns minus the squared distance from TARGET, with noise from each individual's own key."""
    squares = jax.tree.map(lambda x, t: jnp.square(x - t).reshape(len(x), -1).sum(1), population, TARGET)
    return 0.05 * jax.vmap(jax.random.normal)(keys) - sum(jax.tree.leaves(squares))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--parallel", default="jit")
    parser.add_argument("--population", type=int, default=16)
    options = parser.parse_args()
    blank = ArraySource({"episode": np.arange(19)})
    data = DataSet("blank", blank, blank)
    devices = make_devices(options.parallel)
    mean = jax.tree.map(jnp.zeros_like, TARGET)
    strategy = make_strategy("cma_es", options.population, mean, 0.3)
    learner = evolution(strategy.algorithm, strategy.params, fitness, mean, axis_name=devices.axis_name)
    workdir = Path(options.out).parent / f"workdir_{Path(options.out).stem}"
    try:
        for steps in (7, 12):  # the second run resumes from a checkpoint
            outcome = loop.train(learner, data, devices, workdir, steps=steps, batch_size=8, log_every=4)
    except UserError as error:
        sys.exit(f"error: {error}")
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(outcome.state)}
    tests = make_evaluate(learner, data, data.test, 8, devices)(outcome.state)
    rows = (workdir / "metrics.jsonl").read_text()
    np.savez(options.out, rows=rows, **arrays, **{f"evaluate {name}": value for name, value in tests.items()})


if __name__ == "__main__":
    main()
