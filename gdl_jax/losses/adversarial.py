"""Losses of generators and critics, and the gradient penalty: one value per example.

A score is the critic's output for an image: a logit with the GAN's loss, an unbounded number otherwise. The network is
called critic with every loss; the book's first example calls it discriminator.

A custom `AdversarialLoss` can replace these: adversarial_loss=my_package.my_module:MY_LOSS.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

PerScore = Callable[[jax.Array], jax.Array]


class AdversarialLoss(NamedTuple):
    """Losses of both players, as elementwise functions of scores (B, ...).

    A critic that scores patches has several scores per image; the learner averages their losses.

    Attributes:
      real: the critic's loss on scores of real images.
      fake: the critic's loss on scores of generated images; the critic minimises the sum of both means.
      generator: the generator's loss on scores of generated images.
      boundary: score above which the critic classifies an image as real; None if a single score has no such meaning.
    """

    real: PerScore
    fake: PerScore
    generator: PerScore
    boundary: float | None = None


def _square(target: float) -> PerScore:
    return lambda score: 0.5 * jnp.square(score - target)


# -log D(x), -log(1 - D(G(z))) and -log D(G(z)) with D = sigmoid(score): labels 1 for real, 0 for generated, and the
# generator's non-saturating form (Goodfellow et al. 2014, section 3; book 04_01).
BCE = AdversarialLoss(
    real=lambda score: jax.nn.softplus(-score),
    fake=jax.nn.softplus,
    generator=lambda score: jax.nn.softplus(-score),
    boundary=0.0,
)

# (D(x) - 1)^2 / 2, D(G(z))^2 / 2 and (D(G(z)) - 1)^2 / 2 (Mao et al. 2017, equation 9).
LEAST_SQUARES = AdversarialLoss(real=_square(1.0), fake=_square(0.0), generator=_square(1.0), boundary=0.5)

# (D(x) - 1)^2 / 2, D(G(z))^2 / 2 and (D(G(z)) - 1)^2: only the critic's loss is halved (Zhu et al. 2017, section 4).
# The weights of a generator's other terms are then the paper's and the book's (05_01).
CYCLEGAN = LEAST_SQUARES._replace(generator=lambda score: jnp.square(score - 1.0))

# -D(x), D(G(z)) and -D(G(z)) (Arjovsky et al. 2017, algorithm 1): the book's labels 1 and -1 (04_02). The second term's
# sign is wrong in the book's text and right in its code.
WASSERSTEIN = AdversarialLoss(real=jnp.negative, fake=lambda score: score, generator=jnp.negative)

# max(0, 1 - D(x)), max(0, 1 + D(G(z))) and -D(G(z)) (Miyato et al. 2018, equations 16 and 17).
HINGE = AdversarialLoss(
    real=lambda score: jax.nn.relu(1.0 - score),
    fake=lambda score: jax.nn.relu(1.0 + score),
    generator=jnp.negative,
    boundary=0.0,
)

ADVERSARIAL_LOSSES = {
    "bce": BCE,
    "least_squares": LEAST_SQUARES,
    "cyclegan": CYCLEGAN,
    "wasserstein": WASSERSTEIN,
    "hinge": HINGE,
}


def interpolate(real: Any, fake: Any, alpha: jax.Array) -> Any:
    """Returns alpha x + (1 - alpha) G(z), with one alpha per example.

    Args:
      real, fake: arrays (B, ...), or trees of them, of the same shapes.
      alpha: (B,), in [0, 1]; uniform in Gulrajani et al. 2017 (algorithm 1) and the book (04_03).

    Returns:
      Arrays or trees as `real`.
    """
    chex.assert_trees_all_equal_shapes(real, fake)
    chex.assert_shape(alpha, (len(jax.tree.leaves(real)[0]),))
    chex.assert_type(alpha, float)

    def between(x, y):
        share = alpha.reshape(-1, *(1,) * (x.ndim - 1))
        return share * x + (1.0 - share) * y

    return jax.tree.map(between, real, fake)


def example_norm(gradient: Any, epsilon: float = 1e-12) -> jax.Array:
    """Returns sqrt(sum g^2 + epsilon) of each example, (B,); epsilon keeps its gradient finite at 0.

    Args:
      gradient: (B, ...), or a tree of such arrays, over all of which the sum is taken.
      epsilon: above 0.
    """
    leaves = jax.tree.leaves(gradient)
    chex.assert_equal_shape_prefix(leaves, 1)
    chex.assert_type(leaves, float)
    squares = [jnp.square(leaf).reshape(len(leaf), -1).sum(axis=1) for leaf in leaves]
    return jnp.sqrt(sum(squares) + epsilon)


def gradient_penalty(norm: jax.Array, center: float = 1.0) -> jax.Array:
    """Returns (|| grad D || - center)^2, (B,) -> (B,).

    Center 1 is that of Gulrajani et al. 2017, equation 3, and of the book (04_03); center 0 gives the zero-centred
    penalty, whose convergence Mescheder et al. 2018 prove.
    """
    chex.assert_rank(norm, 1)
    chex.assert_type(norm, float)
    return jnp.square(norm - center)
