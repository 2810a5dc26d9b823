"""Trains a batch-normalised network for 20 steps on the devices of this process (or of several); saves what came out.

python -m tests.core.parallel_worker OUT.npz --experiment=vae --parallel=jit|pmap [--processes=N --id=I --port=P]
"""

import argparse
import dataclasses
import os
from pathlib import Path

import jax
import numpy as np

from experiments import registry
from gdl_jax.core import loop
from gdl_jax.core.parallel import make_devices
from gdl_jax.core.programs import make_evaluate
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images import to_float

# A bias before batch normalisation has no gradient but rounding noise, which Adam would blow up to full steps: SGD.
SHRUNK = {
    "vae": (
        "faces",
        {
            "encoder_filters": (8, 8),
            "encoder_strides": (2, 2),
            "encoder_kernel_sizes": (3, 3),
            "decoder_filters": (8, 1),
            "decoder_strides": (2, 2),
            "decoder_kernel_sizes": (3, 3),
            "z_dim": 4,
            "reconstruction_weight": 100.0,
            "optimizer": "sgd",
            "learning_rate": 0.005,
        },
    ),
    "wgan_gp": (
        "digits",
        {
            "n_critic": 2,
            "first_filters": 8,
            "generator_filters": (8, 1),
            "generator_strides": (2, 2),
            "generator_kernel_sizes": (3, 3),
            "critic_filters": (8, 8),
            "critic_strides": (2, 2),
            "critic_kernel_sizes": (3, 3),
            "z_dim": 4,
            "generator_optimizer": "sgd",
            "generator_learning_rate": 0.01,
            "critic_optimizer": "sgd",
            "critic_learning_rate": 0.015,
        },
    ),
}


def blobs(count: int) -> ArraySource:
    """Grey 16x16 squares of random place and shade."""
    rng = np.random.default_rng(0)
    images = np.zeros((count, 16, 16, 1), np.uint8)
    for image in images:
        y, x = rng.integers(0, 10, 2)
        image[y : y + 6, x : x + 6] = rng.integers(100, 255)
    return ArraySource({"image": images, "label": np.zeros(count, np.int32)})


def environment(devices: int) -> dict[str, str]:
    """For a process that is to see so many devices."""
    return os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--experiment", choices=list(SHRUNK), required=True)
    parser.add_argument("--parallel", default="jit")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--id", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{options.port}", options.processes, options.id)
    experiment = registry.find(options.experiment)
    preset, shrunk = SHRUNK[options.experiment]
    config = dataclasses.replace(experiment.presets[preset], **shrunk)
    data = DataSet("blobs", blobs(100), blobs(21), transform=to_float)
    devices = make_devices(options.parallel)
    learner = experiment.build(config, data, devices.axis_name)
    evaluate = make_evaluate(learner, data, data.test, 8, devices)
    workdir = Path(options.out).parent / f"workdir_{Path(options.out).stem}"
    for steps in (12, 20):  # a checkpoint is written and read on the way
        outcome = loop.train(learner, data, devices, workdir, steps=steps, batch_size=16, log_every=4)
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(outcome.state)}
    tests = {f"evaluate {name}": value for name, value in evaluate(outcome.state).items()}
    if options.id == 0:
        rows = (workdir / "metrics.jsonl").read_text()
        np.savez(options.out, rows=rows, **arrays, **tests)


if __name__ == "__main__":
    main()
