"""Trains a small network for 20 steps on the devices of one or several processes, and saves the result.

python -m tests.core.parallel_worker FOLDER --experiment=vae --parallel=jit,pmap [--processes=N --id=I --port=P]

writes FOLDER/jit.npz and so on.
"""

import argparse
import dataclasses
import os
from pathlib import Path

import jax
import numpy as np

from experiments import registry
from gdl_jax.core import loop
from gdl_jax.core.parallel import make_devices, to_host
from gdl_jax.core.programs import make_evaluate
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images import domains
from gdl_jax.data.images.domains import TwoDomains, Unpaired
from gdl_jax.data.images.pixels import to_float
from gdl_jax.data.text.tokens import SEPARATOR, TextData
from gdl_jax.data.text.vocabulary import Vocabulary
from gdl_jax.data.text.windows import Windows

# SGD: a bias before batch normalisation has no gradient but rounding noise, which Adam would scale to full steps.
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
    "cyclegan": (  # the pools are full after the second update; images are enlarged, cropped and mirrored
        "tiny",
        {
            "unet_filters": 8,
            "unet_depth": 2,
            "unet_norm": "none",  # instance normalisation of nearly constant features would magnify rounding errors
            "unet_slope": 0.2,
            "critic_filters": 8,
            "critic_norm": "none",
            "pool_size": 24,
            "jitter": 1.25,
            "cycle_loss": "mse",  # the absolute error's gradient jumps where an image is reconstructed exactly
            "identity_loss": "mse",
            "generator_optimizer": "sgd",
            "generator_learning_rate": 0.02,
            "critic_optimizer": "sgd",
            "critic_learning_rate": 0.02,
        },
    ),
    "text_rnn": (
        "aesop",
        {
            "embedding_size": 6,
            "hidden_units": 8,
            "layers": 2,
            "embedding_dropout_rate": 0.2,
            "optimizer": "sgd",
            "learning_rate": 1.0,
        },
    ),
}


def blobs(count: int) -> ArraySource:
    """Returns 16x16 images with a grey square of random position and shade."""
    rng = np.random.default_rng(0)
    images = np.zeros((count, 16, 16, 1), np.uint8)
    for image in images:
        y, x = rng.integers(0, 10, 2)
        image[y : y + 6, x : x + 6] = rng.integers(100, 255)
    return ArraySource({"image": images, "label": np.zeros(count, np.int32)})


def square_data() -> DataSet:
    return DataSet("blobs", blobs(100), blobs(21), transform=to_float)


def two_domains() -> TwoDomains:
    """Returns grey squares on black, and two thirds as many dark ones on white."""

    def source(count):
        squares = blobs(count)
        return Unpaired(squares, ArraySource({"image": 255 - squares.arrays["image"][::-1][: 2 * count // 3]}))

    return TwoDomains("blobs", source(100), source(21), transform=domains.to_float)


def text_data() -> TextData:
    """Returns windows of five random tokens with geometrically distributed ids."""
    rng = np.random.default_rng(0)

    def windows(count):
        tokens = np.minimum(rng.geometric(0.4, count + 4) + 1, 9).astype(np.int32)
        return Windows({"tokens": tokens}, np.arange(count), 5)

    words = Vocabulary(("unknown", SEPARATOR, *map(str, range(2, 10))))
    return TextData("tokens", windows(100), windows(21), vocabulary=words, token_type="word")


DATA = {"vae": square_data, "wgan_gp": square_data, "cyclegan": two_domains, "text_rnn": text_data}


def environment(devices: int) -> dict[str, str]:
    """Returns the environment of a process with this number of CPU devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def trained(experiment, config, data, parallel, workdir):
    """Returns {name: array}: the last state, and means over the test split."""
    devices = make_devices(parallel)
    learner = experiment.build(config, data, devices.axis_name)
    evaluate = make_evaluate(learner, data, data.test, 8, devices)
    for steps in (12, 20):  # writes and reads a checkpoint
        outcome = loop.train(learner, data, devices, workdir, steps=steps, batch_size=16, log_every=4)
    leaves = jax.tree.leaves_with_path(to_host(outcome.state))
    arrays = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    return arrays | {f"evaluate {name}": value for name, value in evaluate(outcome.state).items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
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
    data = DATA[options.experiment]()
    for parallel in options.parallel.split(","):
        workdir = options.out / parallel
        arrays = trained(experiment, config, data, parallel, workdir)
        if options.id == 0:
            np.savez(options.out / f"{parallel}.npz", rows=(workdir / "metrics.jsonl").read_text(), **arrays)


if __name__ == "__main__":
    main()
