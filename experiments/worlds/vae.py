"""World models, stage 2 (book chapter 8): the vision, a variational autoencoder of frames.

    python -m experiments.worlds.vae --dataset=rollouts:runs/world/rollouts
    python -m experiments.worlds.vae --config=paper --dataset=rollouts:runs/world/rollouts
    python -m experiments.sample --workdir=runs/world/vae

The loss is that of the paper and of the book (2019): the sum of squares over a frame, plus the KL divergence where it
exceeds half a nat per dimension in total. For the loss of the book's repository since 2020, set
`--reconstruction_weight=10000 --free_bits=0`. Frames are streamed from disk if they do not fit into memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from experiments.autoencoding.encoding import Coders, encode_rows, images_at, make_coders
from gdl_jax.core.config_flags import AtLeast
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet
from gdl_jax.evaluation.latents import latent_statistics
from gdl_jax.learners.autoencoder import make_reconstruction_loss
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.variational import reparameterise, vae
from gdl_jax.models import world_vae
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots import images, latent
from gdl_jax.runs.config import DTYPES, ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.images import data_spec, image_spec, load_data
from gdl_jax.runs.main import main

PIXELS = 64 * 64 * 3
ENCODED = 2000  # most frames used for latent statistics
TRAVERSED, SPAN, STEPS = 12, 3.0, 9  # latent traversals: dimensions, and from -SPAN to SPAN in STEPS steps


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, OptimizerConfig, world_vae.Config):
    # rollouts:PATH of `experiments.worlds.rollouts`, or folder:PATH of frames
    dataset: str = "rollouts:runs/world/rollouts"
    image_size: int = 64  # pixels per side; the only size that fits the networks' kernels and strides
    learning_rate: float = 1e-4  # peak value where there is a schedule; the book's is constant
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    # weight of the reconstruction loss, a mean over pixels; the number of pixels makes it a sum
    reconstruction_weight: Annotated[float, AtLeast(0)] = PIXELS
    kl_weight: Annotated[float, AtLeast(0)] = 1.0  # weight of the KL divergence
    free_bits: Annotated[float, AtLeast(0)] = 0.5  # nats per latent dimension that the KL divergence does not penalise
    shared_free_bits: bool = True  # free bits are shared by all dimensions, as in paper and book
    batch_size: int = 100
    steps: int = 4000
    eval_every: int = 1000


PRESETS = {
    "small": Config(steps=2200),
    "book": Config(steps=27_000),  # 10 epochs of the training split: 90 % of 1,000 episodes of 300 frames
    "paper": Config(
        encoder_filters=world_vae.PAPER.encoder_filters,
        decoder_filters=world_vae.PAPER.decoder_filters,
        steps=900_000,  # 10 epochs of 10,000 episodes of 1,000 frames
    ),
    "tiny": Config(
        encoder_filters=(4, 4, 4, 8),
        decoder_units=16,
        decoder_filters=(4, 4, 4, 3),
        z_dim=4,
        learning_rate=3e-3,
        batch_size=8,
        steps=20,
        log_every=5,
        eval_every=10,
        checkpoint_every=10,
    ),
}


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns encoder and decoder."""
    image = image_spec(data)
    codes = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    dtype = DTYPES[config.precision]
    return {
        "encoder": Network(world_vae.WorldEncoder(config, dtype), (image,)),
        "decoder": Network(world_vae.WorldDecoder(config, image.shape[1:], dtype), (codes,)),
    }


def build(config: Config, data: DataSet, axis_name: str | None) -> Learner:
    """Returns the learner."""
    coders = networks(config, data)
    learner = vae(
        **{name: with_axis_name(network.module, axis_name) for name, network in coders.items()},
        optimizer=make_optimizer(config),
        reconstruction_loss=make_reconstruction_loss(config.reconstruction_loss),
        z_dim=config.z_dim,
        reconstruction_weight=config.reconstruction_weight,
        kl_weight=config.kl_weight,
        free_bits=config.free_bits,
        shared_free_bits=config.shared_free_bits,
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def preview(run: Run) -> None:
    """Draws held-out frames above their reconstructions, the same frames at every step."""
    coders = make_coders(run, networks(run.config, run.data))
    shown = images_at(run, run.data.test, np.linspace(0, len(run.data.test) - 1, 10).astype(np.int64))
    path = run.figures / f"samples_at_{run.step:07d}.png"
    images.rows([shown, coders.decode(coders.encode(shown)[0])], ["frame", "decoded"], path)


def analyse(run: Run) -> Results:
    """Draws samples from the prior and latent traversals; returns latent statistics."""
    coders = make_coders(run, networks(run.config, run.data))
    _, (mean, log_var) = encode_rows(run, coders, run.data.test, ENCODED)
    noise = np.asarray(jax.random.normal(run.key, mean.shape))
    codes = np.asarray(reparameterise(mean, log_var, noise))
    images.image_grid(np.asarray(run.learner.sample(run.state, run.key, 40)), run.figures / "samples.png", columns=10)
    latent.histograms(codes, run.figures / "latent_histograms.png")
    latent.dimensions(mean, log_var, run.figures / "latent_dimensions.png")
    _traversals(coders, mean, log_var, run.figures / "traversals.png")
    return latent_statistics(mean, log_var, codes)


def _traversals(coders: Coders, mean: np.ndarray, log_var: np.ndarray, path: Path) -> None:
    """Draws traversals of the most used latent dimensions: a typical code with one dimension varied at a time."""
    start = mean[np.linalg.norm(mean - mean.mean(axis=0), axis=1).argmin()]
    used = np.argsort(np.exp(log_var).mean(axis=0))[:TRAVERSED]
    values = np.linspace(-SPAN, SPAN, STEPS)
    rows = []
    for dimension in used:
        moved = np.repeat(start[None], STEPS, axis=0)
        moved[:, dimension] = values
        rows.append(coders.decode(moved.astype(np.float32)))
    labels = [f"z {dimension}" for dimension in used]
    images.rows(rows, labels, path, headings=[f"{value:+.1f}" for value in values])


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Draws samples from the prior."""
    path = request.out / "samples.png"
    images.image_grid(np.asarray(run.learner.sample(run.state, run.key, request.num)), path, columns=10)
    return [path]


EXPERIMENT = Experiment(
    name="world_vae",
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
