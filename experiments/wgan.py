"""The Wasserstein GAN (book chapter 4, 04_02): a critic without sigmoid, held in bounds by clipping its weights.

    python -m experiments.wgan                                        bundled digits, small networks
    python -m experiments.wgan --config=horses --data_dir=D           the book's run: 6,000 iterations, CIFAR-10 horses

The losses are small numbers: an older run of the book's, on cars, shows -0.002 on real and -0.010 on generated images
near iteration 3,730, whose mean it prints (-0.006) and whose sum is our `critic_loss`. `figures/critic_weights.png` is
to be seen beside the start: N(0, 0.02^2) clipped at 0.01 has 62 % of its weights at the two limits before any learning.
"""

from dataclasses import dataclass

from experiments.adversarial import images
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """The GAN's hyperparameters, with the values of 04_02."""

    batch_size: int = 128  # examples of one critic update, over all devices
    adversarial_loss: str = "wasserstein"
    n_critic: int = 5
    clip: float = 0.01
    generator_learning_rate: float = 5e-5
    critic_learning_rate: float = 5e-5
    generator_activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.2
    critic_activation: str = "leaky_relu"  # by name or package.module:function; leaky_relu has slope 0.2
    critic_dropout_rate: float = 0.0
    batch_norm_momentum: float = 0.8


PRESETS = {
    "digits": Config(
        **images.DIGITS,
        batch_size=64,
        generator_learning_rate=2e-4,
        critic_learning_rate=2e-4,
        steps=1000,
        log_every=20,
        eval_every=100,
    ),
    "horses": Config(
        dataset="cifar10",
        only_class="horse",
        join_splits=True,
        first_filters=128,
        generator_filters=(128, 64, 32, 3),
        generator_strides=(2, 2, 2, 1),
        critic_filters=(32, 64, 128, 128),
        steps=6000,
        log_every=50,
    ),
    "tiny": Config(**images.TINY),
}

EXPERIMENT = images.experiment(name="wgan", module=__name__, presets=PRESETS)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
