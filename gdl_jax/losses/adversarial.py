"""Losses of generators and critics, and the gradient penalty: one value per example.

A score is what the critic gives an image: a logit where the loss is the GAN's, an unbounded number otherwise. The
book's first example calls the critic a discriminator; here it is a critic whatever the loss.

An `AdversarialLoss` of one's own can stand in for these: adversarial_loss=my_package.my_module:MY_LOSS.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

PerScore = Callable[[jax.Array], jax.Array]


class AdversarialLoss(NamedTuple):
    """What the two players minimise; each function is elementwise, from scores (B, ...) to values of the same shape.

    A critic that scores patches has several scores for an image; the learner takes the mean.

    Attributes:
      real: the critic's, of the scores of real images.
      fake: the critic's, of the scores of generated images; the critic minimises the sum of both means.
      generator: the generator's, of the scores of the images that it generated.
      boundary: the score above which the critic takes an image for real; None where scores mean nothing alone.
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

# -D(x), D(G(z)) and -D(G(z)) (Arjovsky et al. 2017, algorithm 1): the book's labels 1 and -1 (04_02). The book's text
# has the wrong sign before the second term; its code has this one.
WASSERSTEIN = AdversarialLoss(real=jnp.negative, fake=lambda score: score, generator=jnp.negative)

# max(0, 1 - D(x)), max(0, 1 + D(G(z))) and -D(G(z)) (Miyato et al. 2018, equations 16 and 17).
HINGE = AdversarialLoss(
    real=lambda score: jax.nn.relu(1.0 - score),
    fake=lambda score: jax.nn.relu(1.0 + score),
    generator=jnp.negative,
    boundary=0.0,
)

ADVERSARIAL_LOSSES = {"bce": BCE, "least_squares": LEAST_SQUARES, "wasserstein": WASSERSTEIN, "hinge": HINGE}


def interpolate(real: Any, fake: Any, alpha: jax.Array) -> Any:
    """alpha x + (1 - alpha) G(z), one alpha for each example.

    Args:
      real, fake: arrays (B, ...), or trees of them, of the same shapes.
      alpha: (B,), in [0, 1]; uniform in Gulrajani et al. 2017 (algorithm 1) and the book (04_03).

    Returns:
      As real.
    """
    chex.assert_trees_all_equal_shapes(real, fake)
    chex.assert_shape(alpha, (len(jax.tree.leaves(real)[0]),))
    chex.assert_type(alpha, float)

    def between(x, y):
        share = alpha.reshape(-1, *(1,) * (x.ndim - 1))
        return share * x + (1.0 - share) * y

    return jax.tree.map(between, real, fake)


def example_norm(gradient: Any, epsilon: float = 1e-12) -> jax.Array:
    """sqrt(sum g^2 + epsilon) of each example, (B,); epsilon keeps the root's own gradient finite at 0.

    Args:
      gradient: (B, ...), or a tree of such arrays, all of which the sum is over.
    """
    leaves = jax.tree.leaves(gradient)
    chex.assert_equal_shape_prefix(leaves, 1)
    chex.assert_type(leaves, float)
    squares = [jnp.square(leaf).reshape(len(leaf), -1).sum(axis=1) for leaf in leaves]
    return jnp.sqrt(sum(squares) + epsilon)


def gradient_penalty(norm: jax.Array, center: float = 1.0) -> jax.Array:
    """(|| grad D || - center)^2, (B,) -> (B,).

    Center 1 is Gulrajani et al. 2017, equation 3, and the book's 04_03; 0 is the zero-centred penalty that Mescheder et
    al. 2018 prove to converge.
    """
    chex.assert_rank(norm, 1)
    chex.assert_type(norm, float)
    return jnp.square(norm - center)
