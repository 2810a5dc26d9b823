"""WGAN-GP (book chapter 4, 04_03): the Wasserstein GAN with a gradient penalty in place of clipping.

    python -m experiments.wgan_gp                                 bundled digits, small networks; 9 minutes
    python -m experiments.wgan_gp --config=avatars                bundled faces at 64x64, fewer channels; 56 minutes
    python -m experiments.wgan_gp --config=faces --data_dir=D     the book's run: 6,000 iterations, CelebA at 64x64

Minutes are those of two CPU cores. `critic_input_gradient_norm` falls towards 1; the penalty's weight decides how
close it gets. On avatars it is 1.54 after 3,000 iterations, where the critic's losses on real and generated images
differ by 18.
"""

from dataclasses import dataclass

from experiments.adversarial import images
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """Hyperparameters of the GAN, with the values of 04_03."""

    batch_size: int = 64  # examples per critic update, over all devices
    adversarial_loss: str = "wasserstein"
    n_critic: int = 5
    gradient_penalty: float = 10.0
    separate_updates: bool = False
    batch_statistics: bool = True
    generator_optimizer: str = "adam_0.5"
    critic_optimizer: str = "adam_0.5"
    generator_learning_rate: float = 2e-4
    critic_learning_rate: float = 2e-4
    generator_activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.2
    critic_activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.2
    critic_dropout_rate: float = 0.0


FACES = {
    "image_size": 64,
    "generator_strides": (2, 2, 2, 2),
    "upsampling": "transposed",
    "critic_strides": (2, 2, 2, 2),
    "steps": 6000,
    "log_every": 50,
}
PRESETS = {
    "digits": Config(**images.DIGITS, steps=600, log_every=20, eval_every=100),
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
    "tiny": Config(**images.TINY),
}

EXPERIMENT = images.experiment(name="wgan_gp", module=__name__, presets=PRESETS)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
