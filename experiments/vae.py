"""Variational autoencoders on digits and on faces (book chapter 3: 03_03, 03_05, 03_06).

python -m experiments.vae --config=digits
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from experiments.experiment import DTYPES, Experiment, Part, RunConfig, image_spec, load_data
from experiments.run import main
from gdl_jax.core.named import resolve
from gdl_jax.learners.optimizers import make_optimizer
from gdl_jax.learners.variational import vae
from gdl_jax.losses.reconstruction import RECONSTRUCTION_LOSSES
from gdl_jax.models import autoencoder as networks


@dataclass(frozen=True, kw_only=True)
class Config(RunConfig, networks.Config):
    optimizer: str = "adam"  # by name or package.module:function
    learning_rate: float = 5e-4  # constant, as in the book
    reconstruction_loss: str = "mse"  # mse, bce, rmse or package.module:function
    reconstruction_weight: float = 1000.0  # of the reconstruction loss against the divergence (book: r_loss_factor)
    kl_weight: float = 1.0  # of the divergence (beta of a beta-VAE)
    free_bits: float = 0.0  # nats per latent dimension that cost nothing


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
}


def parts(config, data):
    image = image_spec(data)
    codes = jax.ShapeDtypeStruct((1, config.z_dim), jnp.float32)
    dtype = DTYPES[config.precision]
    return {
        "encoder": Part(networks.GaussianEncoder(config, dtype), (image,)),
        "decoder": Part(networks.Decoder(config, image.shape[1:], dtype), (codes,)),
    }


def build(config, data, axis_name):
    networks_ = {name: part.module.clone(axis_name=axis_name) for name, part in parts(config, data).items()}
    return vae(
        **networks_,
        optimizer=make_optimizer(config.optimizer, config.learning_rate),
        reconstruction_loss=resolve("reconstruction_loss", config.reconstruction_loss, RECONSTRUCTION_LOSSES),
        z_dim=config.z_dim,
        reconstruction_weight=config.reconstruction_weight,
        kl_weight=config.kl_weight,
        free_bits=config.free_bits,
        axis_name=axis_name,
    )


EXPERIMENT = Experiment("vae", Config, PRESETS, build, parts, lambda run: {}, lambda run: None, None, load_data)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
