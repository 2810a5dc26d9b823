"""Wasserstein GAN (book chapter 4, 04_02): a critic without a sigmoid, its weights clipped.

    python -m experiments.wgan                                    bundled digits, small networks; 9 minutes
    python -m experiments.wgan --config=horses --data_dir=D       the book's run, CIFAR-10's horses; 150 minutes

Minutes are those of two CPU cores. The losses are small: an older run of the book's, on cars, has -0.002 on real and
-0.010 on generated images near iteration 3,730. The book prints their mean (-0.006); our `critic_loss` is their sum.
Compare `figures/critic_weights.png` with initialisation: N(0, 0.02^2) clipped at 0.01 has 62 % of its weights at the
two limits before training.
"""

from dataclasses import dataclass

from experiments.adversarial import images
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    """Hyperparameters of the GAN, with the values of 04_02."""

    batch_size: int = 128  # examples per critic update, over all devices
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
