"""GAN (book chapter 4, 04_01): a generator of drawings, trained against a critic.

    python -m experiments.gan                                     bundled digits, small networks; 5 minutes
    python -m experiments.gan --config=camel --data_dir=D         the book's run: 6,000 batches of camels
    python -m experiments.gan --config=quadrupeds --data_dir=D    drawings of 15 animals in place of camels; 120 minutes
    python -m experiments.gan --adversarial_loss=least_squares    another loss, or your own
    python -m experiments.gan --features=runs/classifier-digits   FID, modes covered, ... by a classifier's features
    python -m experiments.studies.gan_ablation --dataset=mnist --data_dir=D  compares four losses; 51 minutes

Minutes are those of two CPU cores. In the book's run, the means over batches 1,950 to 2,056 are a critic loss of 0.546
on real and 0.530 on generated drawings, and a generator loss of 1.377.
"""

from dataclasses import dataclass

from experiments.adversarial import images
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    batch_size: int = 64  # examples per update, over all devices


BOOK = {"steps": 6000, "log_every": 50}
PRESETS = {
    "digits": Config(**images.DIGITS, steps=2000, log_every=20, eval_every=200),
    "camel": Config(dataset="quickdraw:camel", **BOOK),
    "quadrupeds": Config(dataset="quickdraw:quadrupeds", **BOOK),
    "tiny": Config(**images.TINY),
}

EXPERIMENT = images.experiment(name="gan", module=__name__, presets=PRESETS)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
