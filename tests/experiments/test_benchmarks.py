"""The table of step times: its arithmetic, and one real row of it."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from experiments import benchmarks, registry
from experiments.summary import blank_data

CASE = benchmarks.CASES["cnn-32"]


@pytest.mark.parametrize("name", ["mlp-32", "cnn-32"])
def test_multiplications_are_those_that_the_compiler_counts(name):
    case = benchmarks.CASES[name]
    experiment = registry.find(case.experiment)
    config = experiment.presets[case.config]
    (part,) = experiment.parts(config, blank_data(experiment, config)).values()
    key = jax.random.key(0)
    variables = jax.eval_shape(lambda x: part.module.init(key, x, False), *part.inputs)
    forward = jax.jit(lambda variables, x: part.module.apply(variables, x, False))
    flops = forward.lower(variables, jnp.zeros((1, 32, 32, 3))).cost_analysis()["flops"]
    # The compiler leaves out multiplications by padding, and counts normalisation and activations.
    assert benchmarks.MULTIPLICATIONS[case.model] == pytest.approx(flops / 2, rel=0.06)


def test_ratios_are_to_the_best_keras_and_to_pytorch():
    times = {"gdl_jax": 10.0, "Keras, jax": 40.0, "Keras, torch": benchmarks.ABSENT, "Keras, tensorflow": 25.0}
    cells = benchmarks.row(CASE, times | {"PyTorch": 5.0}, peak=100.0)
    # 3 * 2 * 10.85 million multiplications * 32 examples in 10 ms are 208 of 100 GFLOP/s
    assert cells == ["10", "40", "not installed", "25", "5", "2.50x", "0.50x", "208%"]


def test_without_peers_there_are_no_ratios():
    peers = ("Keras, jax", "Keras, torch", "Keras, tensorflow", "PyTorch")
    cells = benchmarks.row(CASE, {"gdl_jax": 10.0} | dict.fromkeys(peers, benchmarks.ABSENT), peak=100.0)
    assert cells == ["10", *["not installed"] * 4, "", "", "208%"]


def test_a_step_of_ours_is_timed_in_the_real_loop():
    flags = ["--experiment=classifier", "--config=mlp", "--batch_size=8", "--steps=5", "--windows=1"]
    done = subprocess.run([sys.executable, "-m", "experiments.step_time", *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ms_per_step"] > 0
