"""WGAN-GP (book chapter 4, 04_03): the Wasserstein GAN whose critic is held to gradients of norm one.

    python -m experiments.wgan_gp                                     bundled digits, small networks
    python -m experiments.wgan_gp --config=avatars                    bundled faces at 64x64, a quarter of the channels
    python -m experiments.wgan_gp --config=faces --data_dir=D         the book's run: 6,000 iterations, CelebA at 64x64

`critic_input_gradient_norm` comes down towards 1; how near, the weight of the penalty decides: on avatars it is 1.54
after 3,000 iterations, in balance with losses that lie 18 apart.
"""

from dataclasses import dataclass

from experiments.adversarial.images import Config as AdversarialConfig
from experiments.adversarial.images import experiment
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(AdversarialConfig):
    batch_size: int = 64  # examples of one critic update, over all devices
    adversarial_loss: str = "wasserstein"  # bce, least_squares, wasserstein, hinge or package.module:LOSS
    n_critic: int = 5  # critic updates for each of the generator
    gradient_penalty: float = 10.0  # weight of the penalty on the critic's gradient; 0: none
    separate_updates: bool = False  # the critic learns from real and from generated images in turn, not at once
    batch_statistics: bool = True  # generated images for the critic are normalised by their batch, not by averages
    generator_optimizer: str = "adam_0.5"  # by name or package.module:function
    critic_optimizer: str = "adam_0.5"  # by name or package.module:function
    generator_learning_rate: float = 2e-4  # constant, as in the book
    critic_learning_rate: float = 2e-4  # constant, as in the book
    generator_activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.2
    critic_activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.2
    critic_dropout_rate: float = 0.0  # after each of its convolutions


FACES = {
    "image_size": 64,
    "generator_strides": (2, 2, 2, 2),
    "upsampling": "transposed",
    "critic_strides": (2, 2, 2, 2),
    "steps": 6000,
    "log_every": 50,
}
PRESETS = {
    "digits": Config(
        generator_filters=(64, 32, 1),
        generator_kernel_sizes=(5, 5, 5),
        generator_strides=(2, 2, 1),
        critic_filters=(32, 64, 64),
        critic_kernel_sizes=(5, 5, 5),
        critic_strides=(2, 2, 1),
        steps=600,
        log_every=20,
        eval_every=100,
    ),
    "avatars": Config(
        dataset="avatars",
        first_filters=128,
        generator_filters=(64, 32, 16, 3),
        critic_filters=(16, 32, 64, 128),
        **FACES | {"steps": 3000},
    ),
    "faces": Config(
        dataset="celeba",
        first_filters=512,
        generator_filters=(256, 128, 64, 3),
        critic_filters=(64, 128, 256, 512),
        **FACES,
    ),
}

EXPERIMENT = experiment("wgan_gp", Config, PRESETS)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
