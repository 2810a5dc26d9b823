"""World models, stage 2 (book chapter 8): vision, a variational autoencoder of the game's frames.

    python -m experiments.worlds.vae --dataset=rollouts:runs/world/rollouts
    python -m experiments.worlds.vae --config=paper --dataset=rollouts:runs/world/rollouts
    python -m experiments.sample --workdir=runs/world/vae

The loss is the book's of 2019 and the paper's: the sum of squares over a frame, and the divergence where it exceeds
half a nat a dimension (together). `--reconstruction_weight=10000 --free_bits=0` is that of the book's repository since
2020. Frames are streamed from disk where they don't fit.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from experiments.autoencoding.encoding import coders, encode_rows
from gdl_jax.evaluation.latents import latent_statistics
from gdl_jax.learners.autoencoder import make_reconstruction_loss
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.variational import reparameterise, vae
from gdl_jax.models import world_vae as networks
from gdl_jax.plots import images, latent
from gdl_jax.runs.experiment import DTYPES, Experiment, ImageConfig, Part, image_spec, load_data
from gdl_jax.runs.main import main

PIXELS = 64 * 64 * 3
ENCODED = 2000  # frames that latent statistics are made of, at most
TRAVERSED, SPAN, STEPS = 12, 3.0, 9  # dimensions shown, and from -3 to 3 in so many steps


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, networks.Config):
    dataset: str = "rollouts:runs/world/rollouts"  # rollouts:PATH of `world_rollouts`, or folder:PATH of frames
    image_size: int = 64  # pixels a side; the networks' kernels and strides make just these
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 1e-4  # constant, as in the book
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    reconstruction_weight: float = PIXELS  # of the loss, a mean over pixels; this many make it a sum
    kl_weight: float = 1.0  # of the divergence
    free_bits: float = 0.5  # nats per latent dimension that cost nothing
    shared_free_bits: bool = True  # the dimensions share them, as in paper and book
    batch_size: int = 100  # examples an update, over all devices
    steps: int = 4000  # updates in all
    eval_every: int = 1000  # steps between two passes over the held-out split; 0: at the end only

    LEAST = ImageConfig.LEAST | {"z_dim": 1, "reconstruction_weight": 0, "kl_weight": 0, "free_bits": 0}


PRESETS = {
    "small": Config(steps=2200),
    "book": Config(steps=27_000),  # 10 epochs of 1,000 episodes of 300 frames, of which nine tenths are trained on
    "paper": Config(
        encoder_filters=networks.PAPER.encoder_filters,
        decoder_filters=networks.PAPER.decoder_filters,
        steps=900_000,  # 10 epochs of 10,000 episodes of 1,000 frames
    ),
}


def parts(config, data):
    """Encoder and decoder."""
    image = image_spec(data)
    codes = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    dtype = DTYPES[config.precision]
    return {
        "encoder": Part(networks.WorldEncoder(config, dtype), (image,)),
        "decoder": Part(networks.WorldDecoder(config, image.shape[1:], dtype), (codes,)),
    }


def build(config, data, axis_name):
    """The learner."""
    modules = {name: part.module.clone(axis_name=axis_name) for name, part in parts(config, data).items()}
    return vae(
        **modules,
        optimizer=make_optimizer(config.optimizer, config.learning_rate),
        reconstruction_loss=make_reconstruction_loss(config.reconstruction_loss),
        z_dim=config.z_dim,
        reconstruction_weight=config.reconstruction_weight,
        kl_weight=config.kl_weight,
        free_bits=config.free_bits,
        shared_free_bits=config.shared_free_bits,
        axis_name=axis_name,
    )


def preview(run):
    """Held-out frames above what becomes of them, the same at every step."""
    code = coders(run, parts(run.config, run.data))
    rows = np.linspace(0, len(run.data.test) - 1, 10).astype(np.int64)
    shown = np.asarray(run.data.transform(run.data.test.take(rows))["image"])
    path = run.figures / f"samples_at_{run.step:07d}.png"
    images.rows([shown, code.decode(code.encode(shown)[0])], ["frame", "decoded"], path)


def analyse(run):
    """Reconstructions, draws from the prior, what single dimensions change, and how much each of them is used."""
    code = coders(run, parts(run.config, run.data))
    _, (mean, log_var) = encode_rows(run, code, run.data.test, ENCODED)
    noise = np.asarray(jax.random.normal(run.key, mean.shape))
    codes = np.asarray(reparameterise(mean, log_var, noise))
    images.image_grid(np.asarray(run.learner.sample(run.state, run.key, 40)), run.figures / "samples.png", columns=10)
    latent.histograms(codes, run.figures / "latent_histograms.png")
    latent.dimensions(mean, log_var, run.figures / "latent_dimensions.png")
    _traversals(code, mean, log_var, run.figures / "traversals.png")
    return latent_statistics(mean, log_var, codes)


def _traversals(code, mean, log_var, path):
    """One frame's code, with one of its dimensions at a time moved through the prior; those that tell the most."""
    start = mean[np.linalg.norm(mean - mean.mean(axis=0), axis=1).argmin()]
    used = np.argsort(np.exp(log_var).mean(axis=0))[:TRAVERSED]
    values = np.linspace(-SPAN, SPAN, STEPS)
    rows = []
    for dimension in used:
        moved = np.repeat(start[None], STEPS, axis=0)
        moved[:, dimension] = values
        rows.append(code.decode(moved.astype(np.float32)))
    labels = [f"z {dimension}" for dimension in used]
    images.rows(rows, labels, path, headings=[f"{value:+.1f}" for value in values])


def sample(run, request):
    """Draws from the prior."""
    path = request.out / "samples.png"
    images.image_grid(np.asarray(run.learner.sample(run.state, run.key, request.num)), path, columns=10)
    return [path]


EXPERIMENT = Experiment("world_vae", Config, PRESETS, build, parts, analyse, preview, sample, load_data)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
