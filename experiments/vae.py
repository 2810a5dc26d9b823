"""Variational autoencoder (book chapter 3, 03_03, 03_05 and 03_06): digits, and faces with attribute arithmetic.

    python -m experiments.vae --config=digits                       bundled digits; 2 minutes
    python -m experiments.vae --config=faces                        avatars at 128x128, z = 200; 35 minutes
    python -m experiments.vae --dataset=mnist --data_dir=D --steps=375000 --log_every=1875
                                                                    the book's run: 200 epochs of 60,000 digits
    python -m experiments.vae --config=faces --dataset=celeba --data_dir=D --steps=31655
                                                                    the book's run: 5 epochs of CelebA
    python -m experiments.sample --workdir=runs/vae-faces --images=photos --edit=Eyeglasses:2
    python -m experiments.sample --workdir=runs/vae-faces --images=photos --morph

Minutes are those of two CPU cores. On MNIST, the book's code has a mean loss of 58.4 in the first epoch and of 51.6 in
the second.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.autoencoding import figures
from experiments.autoencoding.attribute_edits import attribute_vectors, check_edits
from experiments.autoencoding.encoding import coder_networks, encode_rows, images_at, make_coders
from experiments.autoencoding.likelihood import likelihood_bound
from experiments.autoencoding.photos import PhotoOptions, sample_photos
from gdl_jax.core.config_flags import AtLeast, EvaluationOnly, IsPath
from gdl_jax.core.learner import Learner
from gdl_jax.data.dataset import DataSet
from gdl_jax.evaluation.latents import latent_statistics
from gdl_jax.learners.autoencoder import make_reconstruction_loss
from gdl_jax.learners.averaging import moving_average
from gdl_jax.learners.optimizers import OptimizerConfig, make_optimizer
from gdl_jax.learners.variational import reparameterise, vae
from gdl_jax.models import autoencoder
from gdl_jax.nn.layers import with_axis_name
from gdl_jax.plots import images, latent
from gdl_jax.runs import records
from gdl_jax.runs.config import ImageConfig
from gdl_jax.runs.experiment import Experiment, Network, Results, Run, Sampler, SampleRequest
from gdl_jax.runs.images import data_spec, load_data
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(ImageConfig, OptimizerConfig, autoencoder.Config):
    learning_rate: float = 5e-4  # peak value where there is a schedule; the book's is constant
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    # weight of the reconstruction loss relative to the KL divergence (book: r_loss_factor)
    reconstruction_weight: Annotated[float, AtLeast(0)] = 1000.0
    kl_weight: Annotated[float, AtLeast(0)] = 1.0  # weight of the KL divergence (beta of a beta-VAE)
    free_bits: Annotated[float, AtLeast(0)] = 0.0  # nats per latent dimension that the KL divergence does not penalise
    # importance samples per image for the likelihood estimate
    likelihood_samples: Annotated[int, AtLeast(1), EvaluationOnly()] = 50
    # test images for the likelihood estimate; 0: no estimate
    likelihood_examples: Annotated[int, AtLeast(0), EvaluationOnly()] = 100
    # workdir of `classifier --config=attributes`, which measures attribute arithmetic; empty: not measured
    attribute_classifier: Annotated[str, IsPath(), EvaluationOnly()] = ""


PRESETS = {
    "digits": Config(steps=2000),
    "faces": Config(
        dataset="avatars",
        image_size=128,
        encoder_strides=(2, 2, 2, 2),
        decoder_filters=(64, 64, 32, 3),
        decoder_strides=(2, 2, 2, 2),
        z_dim=200,
        use_batch_norm=True,
        dropout_rate=0.25,
        reconstruction_weight=10_000.0,
        steps=6000,
    ),
    "tiny": Config(
        encoder_filters=(8, 8),
        encoder_kernel_sizes=(3, 3),
        encoder_strides=(2, 2),
        decoder_filters=(8, 1),
        decoder_kernel_sizes=(3, 3),
        decoder_strides=(2, 2),
        learning_rate=2e-2,
        likelihood_samples=5,
        likelihood_examples=10,
        steps=80,
        log_every=20,
        eval_every=40,
        checkpoint_every=40,
    ),
}
ENCODED = 5000  # most test images used for maps and statistics


def networks(config: Config, data: DataSet) -> dict[str, Network]:
    """Returns encoder and decoder."""
    return coder_networks(autoencoder.GaussianEncoder, config, data)


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
        accumulate=config.accumulate,
        axis_name=axis_name,
    )
    return moving_average(learner, config.ema_decay)


def preview(run: Run) -> None:
    """Draws samples from the prior, from the same noise at every step."""
    drawn = np.asarray(run.learner.sample(run.state, run.key, 40))
    images.image_grid(drawn, run.figures / f"samples_at_{run.step:07d}.png", columns=10)


def analyse(run: Run) -> Results:
    """Draws the figures of the book's chapter 3; returns latent statistics and the likelihood estimate."""
    modules = networks(run.config, run.data)
    coders = make_coders(run, modules)
    rows, (mean, log_var) = encode_rows(run, coders, run.data.test, ENCODED)
    codes = np.asarray(reparameterise(mean, log_var, np.asarray(jax.random.normal(run.key, mean.shape))))
    drawn = np.asarray(run.learner.sample(run.state, run.key, 60))
    images.image_grid(drawn, run.figures / "samples.png", columns=10)
    shown = images_at(run, run.data.test, np.arange(min(10, len(codes))))
    images.rows([shown, coders.decode(mean[:10])], ["original", "decoded"], run.figures / "reconstructions.png")
    latent.histograms(codes, run.figures / "latent_histograms.png")
    if run.config.z_dim == 2:
        labels = rows.get("label", np.zeros(len(codes), int))
        figures.latent_maps(coders, codes, labels, run.data.classes, run.figures)
    results = latent_statistics(mean, log_var, codes)
    if run.config.likelihood_examples:
        results = records.merged(results, likelihood_bound(run, modules["decoder"].module, mean, log_var))
    if pairs := [(mean[2 * i], mean[2 * i + 1]) for i in range(min(3, len(codes) // 2))]:
        figures.morphs(coders, pairs, run.figures / "morphs.png")
    if run.data.attributes:
        vectors = attribute_vectors(run, coders)
        path = run.figures / "attribute_arithmetic.png"
        figures.attribute_arithmetic(run, coders, rows["attributes"], mean, vectors, path)
        if run.config.attribute_classifier:
            results = records.merged(results, check_edits(run, coders, vectors, run.config.attribute_classifier))
    return results


def sample(run: Run, request: SampleRequest) -> list[Path]:
    """Draws samples from the prior; or reconstructions, edits and morphs of given images."""
    if request.options.images:
        return sample_photos(run, make_coders(run, networks(run.config, run.data)), request)
    path = request.out / "samples.png"
    images.image_grid(np.asarray(run.learner.sample(run.state, run.key, request.num)), path, columns=10)
    return [path]


EXPERIMENT = Experiment(
    name="vae",
    module=__name__,
    presets=PRESETS,
    load=load_data,
    spec=data_spec,
    networks=networks,
    build=build,
    preview=preview,
    analyse=analyse,
    sampler=Sampler(sample=sample, options=PhotoOptions()),
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
