"""The GAN (book chapter 4, 04_01): a generator of drawings against a critic that tells them from real ones.

    python -m experiments.gan                                         bundled digits, small networks
    python -m experiments.gan --config=camel --data_dir=D             the book's run: 6,000 batches of camels
    python -m experiments.gan --config=quadrupeds --data_dir=D        the same on 15 kinds of animals
    python -m experiments.gan --adversarial_loss=least_squares        another loss, or one's own
    python -m experiments.gan --features=runs/classifier-digits       a classifier's FID, modes covered, ...

In the book's run, means over batches 1,950 to 2,056 are: a critic's loss of 0.546 on real and 0.530 on generated
drawings, and a generator's of 1.377.
"""

from dataclasses import dataclass

from experiments.adversarial import images
from gdl_jax.runs.main import main


@dataclass(frozen=True, kw_only=True)
class Config(images.Config):
    batch_size: int = 64  # examples an update, over all devices


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
