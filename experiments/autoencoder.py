"""Autoencoder (book chapter 3, 03_01): digits in a latent plane.

    python -m experiments.autoencoder                  bundled digits, a latent map with gaps; 2 minutes
    python -m experiments.autoencoder --noise=0.3      denoising
    python -m experiments.autoencoder --dataset=mnist --data_dir=D --train_examples=1000 --steps=6250
                                                       the book's run: 200 epochs of 1,000 images, loss 0.0346

Minutes are those of two CPU cores. Look at `figures/latent_gaps.png`: samples from between the clusters are not
digits, which is chapter 3's motivation for the variational autoencoder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.autoencoding.encoding import coder_networks, encode_rows, images_at, make_coders
from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.learner import Learner
from gdl_jax.core.prng import example_normal
from gdl_jax.data.dataset import DataSet
from gdl_jax.learners.autoencoder import autoencoder as autoencoder_learner
from gdl_jax.learners.autoencoder import make_reconstruction_loss
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.models import autoencoder
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots import images, latent
from gdl_jax.runs.config import ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.images import data_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, OptimizerConfig, autoencoder.Config):
    learning_rate: float = 5e-4  # peak value where there is a schedule; the book's is constant
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    # standard deviation of the noise added to the input; the target stays clean (denoising)
    noise: Annotated[float, AtLeast(0)] = 0.0


PRESETS = {
    "digits": Config(steps=5000, eval_every=1000, checkpoint_every=1000),
    "tiny": Config(
        encoder_filters=(8, 8),
        encoder_kernel_sizes=(3, 3),
        encoder_strides=(2, 2),
        decoder_filters=(8, 1),
        decoder_kernel_sizes=(3, 3),
        decoder_strides=(2, 2),
        learning_rate=2e-2,
        steps=80,
        log_every=20,
        eval_every=40,
        checkpoint_every=40,
    ),
}
ENCODED = 5000  # most test images in the figures (the book's number)
BOXED = 1000  # training images whose codes span the bounding box for sampling
GRID = 20


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns encoder and decoder."""
    return coder_networks(autoencoder.Encoder, config, data)


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    coders = networks(config, data)
    learner = autoencoder_learner(
        **{name: with_axis_name(network.module, axis_name) for name, network in coders.items()},
        optimizer=make_optimizer(config),
        reconstruction_loss=make_reconstruction_loss(config.reconstruction_loss),
        noise=config.noise,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def _corrupted(run: Run, pixels: np.ndarray) -> np.ndarray:
    return pixels + run.config.noise * np.asarray(example_normal(run.key, pixels.shape))


def preview(run: Run) -> None:
    """Draws test images above their reconstructions."""
    coders = make_coders(run, networks(run.config, run.data))
    pixels = images_at(run, run.data.test, np.arange(min(10, len(run.data.test))))
    shown = {"original": pixels}
    if run.config.noise:
        shown["seen"] = np.clip(_corrupted(run, pixels), 0, 1)
    shown["decoded"] = coders.decode(coders.encode(_corrupted(run, pixels)))
    images.rows(list(shown.values()), list(shown), run.figures / "reconstructions.png")


def analyse(run: Run) -> Results:
    """Draws reconstructions, the latent map, decoded points of its gaps, and samples from its bounding box."""
    preview(run)
    coders = make_coders(run, networks(run.config, run.data))
    rows, codes = encode_rows(run, coders, run.data.test, ENCODED)
    labels = rows.get("label", np.zeros(len(codes), int))
    low, high = codes.min(0), codes.max(0)
    drawn = np.asarray(jax.random.uniform(run.key, (30, codes.shape[1]), minval=low, maxval=high))
    decoded = coders.decode(drawn)
    latent.scatter(codes, labels, run.data.classes, run.figures / "latent_scatter.png")
    images.image_grid(decoded, run.figures / "samples_from_bounding_box.png", columns=10)
    if run.config.z_dim == 2:
        latent.gaps(codes, labels, run.data.classes, drawn, decoded, run.figures / "latent_gaps.png")
        axes = [np.linspace(low[i], high[i], GRID) for i in range(2)]
        grid = np.stack(np.meshgrid(axes[0], axes[1][::-1]), -1).reshape(-1, 2)
        tiles = coders.decode(grid).reshape(GRID, GRID, *decoded.shape[1:])
        latent.decoded_grid(tiles, axes, run.figures / "decoded_grid.png")
    return {"largest_absolute_code": float(np.abs(codes).max())}


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Decodes codes drawn from the bounding box of the first training images' codes."""
    coders = make_coders(run, networks(run.config, run.data))
    _, codes = encode_rows(run, coders, run.data.train, BOXED)
    drawn = run.learner.sample(run.state, run.key, request.num, codes.min(0), codes.max(0))
    path = request.out / "samples.png"
    images.image_grid(np.asarray(drawn), path, columns=10)
    return [path]


EXPERIMENT = Experiment(
    name="autoencoder",
    module=__name__,
    presets=PRESETS,
    load=load_data,
    spec=data_spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
