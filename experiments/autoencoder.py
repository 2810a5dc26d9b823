"""The autoencoder on digits (book chapter 3, 03_01).

    python -m experiments.autoencoder                  bundled digits, about two minutes
    python -m experiments.autoencoder --noise=0.3      denoising
    python -m experiments.autoencoder --dataset=mnist --data_dir=D --train_examples=1000 --steps=6250
                                                       the book's run: 200 epochs of 1,000 images, loss 0.0346

Minutes are those of two CPU cores. Look at `figures/latent_gaps.png`: what is drawn between the clusters is why chapter
3 goes on to the variational autoencoder.
"""

from dataclasses import dataclass

import jax
import numpy as np

from experiments.autoencoding.encoding import coder_parts, coders, encode_rows
from gdl_jax.core.prng import example_normal
from gdl_jax.learners.autoencoder import autoencoder, make_reconstruction_loss
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.models import autoencoder as networks
from gdl_jax.plots import images, latent
from gdl_jax.runs.experiment import Experiment, ImageConfig, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, networks.Config):
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 5e-4  # constant, as in the book
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    noise: float = 0.0  # standard deviation of noise on the input, whose clean version is the target (denoising)

    LEAST = ImageConfig.LEAST | {"z_dim": 1, "noise": 0}


PRESETS = {"digits": Config(steps=5000, eval_every=1000, checkpoint_every=1000)}
ENCODED = 5000  # test images in the figures, at most (the book's number)
GRID = 20


def parts(config, data):
    """Encoder and decoder."""
    return coder_parts(networks.Encoder, config, data)


def build(config, data, axis_name):
    """The learner."""
    modules = {name: part.module.clone(axis_name=axis_name) for name, part in parts(config, data).items()}
    return autoencoder(
        **modules,
        optimizer=make_optimizer(config.optimizer, config.learning_rate),
        reconstruction_loss=make_reconstruction_loss(config.reconstruction_loss),
        noise=config.noise,
        axis_name=axis_name,
    )


def _corrupted(run, pixels):
    return pixels + run.config.noise * np.asarray(example_normal(run.key, pixels.shape))


def preview(run):
    """Test images above what comes back of them."""
    code = coders(run, parts(run.config, run.data))
    pixels = np.asarray(run.data.transform(run.data.test.take(np.arange(min(10, len(run.data.test)))))["image"])
    shown = {"original": pixels}
    if run.config.noise:
        shown["seen"] = np.clip(_corrupted(run, pixels), 0, 1)
    shown["decoded"] = code.decode(code.encode(_corrupted(run, pixels)))
    images.rows(list(shown.values()), list(shown), run.figures / "reconstructions.png")


def analyse(run):
    """Reconstructions, the latent map, what lies in its gaps, and samples from its bounding box."""
    preview(run)
    code = coders(run, parts(run.config, run.data))
    rows, codes = encode_rows(run, code, run.data.test, ENCODED)
    labels = rows.get("label", np.zeros(len(codes), int))
    low, high = codes.min(0), codes.max(0)
    drawn = np.asarray(jax.random.uniform(run.key, (30, codes.shape[1]), minval=low, maxval=high))
    decoded = code.decode(drawn)
    latent.scatter(codes, labels, run.data.classes, run.figures / "latent_scatter.png")
    images.image_grid(decoded, run.figures / "samples_from_bounding_box.png", columns=10)
    if run.config.z_dim == 2:
        latent.gaps(codes, labels, run.data.classes, drawn, decoded, run.figures / "latent_gaps.png")
        axes = [np.linspace(low[i], high[i], GRID) for i in range(2)]
        grid = np.stack(np.meshgrid(axes[0], axes[1][::-1]), -1).reshape(-1, 2)
        tiles = code.decode(grid).reshape(GRID, GRID, *decoded.shape[1:])
        latent.decoded_grid(tiles, axes, run.figures / "decoded_grid.png")
    return {"largest |z|": float(np.abs(codes).max())}


def sample(run, request):
    """Images decoded from the bounding box of the codes of the training set's first images."""
    _, codes = encode_rows(run, coders(run, parts(run.config, run.data)), run.data.train, 1000)
    drawn = run.learner.sample(run.state, run.key, request.num, codes.min(0), codes.max(0))
    path = request.out / "samples.png"
    images.image_grid(np.asarray(drawn), path, columns=10)
    return [path]


EXPERIMENT = Experiment("autoencoder", Config, PRESETS, build, parts, analyse, preview, sample, load_data)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
