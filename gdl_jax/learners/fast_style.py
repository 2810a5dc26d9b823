"""Feed-forward style transfer: a network that paints any picture in one style (Johnson, Alahi & Fei-Fei 2016).

It is trained to lower the loss that `learners.style_transfer` minimises for one picture.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from gdl_jax.core.learner import Learner
from gdl_jax.learners.gradient import Loss, TrainState, apply_eval, apply_train, init_variables, update
from gdl_jax.learners.style_transfer import FeatureFunction, activation_factors, scaled
from gdl_jax.losses.style import StyleWeights, mixed_grams, style_terms


@struct.dataclass
class FastStyleState(TrainState):
    """State of the network, and the style.

    Attributes:
      grams: {layer: (1, C, C)}, Gram matrices of the style.
      factors: {layer: ()}, by which the features of VGG16 are multiplied first.
    """

    grams: Mapping[str, jax.Array]
    factors: Mapping[str, jax.Array]


def fast_style(
    network: nn.Module,
    features: FeatureFunction,
    weights: StyleWeights,
    optimizer: optax.GradientTransformation,
    styles: Sequence[jax.Array],
    *,
    shares: Sequence[float] = (1.0,),
    activation: float = 0.0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> Learner:
    """Trains a network that gives images the style of a picture.

    Args:
      network: images (B, H, W, 3) in [-1, 1] -> images of the same shape and range.
      features: images (B, H, W, 3) in [0, 1] -> features at the layers of `weights`, at least.
      weights: of the terms.
      optimizer: from `optimizers.make_optimizer`.
      styles: pictures (1, h, w, 3) in [0, 1].
      shares: of the style pictures; they add up to 1.
      activation: as in `style_transfer`, but with the mean over the style pictures only.
      accumulate: see `gradient.update`.
      axis_name: the pmapped axis, or None.

    The batch has "image" (B, H, W, 3) in [0, 1]. `evaluate` returns "loss" and its terms "content", "style" and
    "total_variation" with their weights. `sample(state, key, num, images)` returns `num` of the images in the style,
    (num, H, W, 3) in [0, 1].
    """

    def terms_of(state: FastStyleState, images: jax.Array, painted: jax.Array) -> dict[str, jax.Array]:
        content = scaled(features(images), state.factors)
        return style_terms(weights, painted, scaled(features(painted), state.factors), content, state.grams)

    def init(key, batch):
        params, batch_stats = init_variables(network, key, 2.0 * batch["image"] - 1.0)
        found = [features(style) for style in styles]
        factors = activation_factors(found, activation)
        grams = mixed_grams([scaled(each, factors) for each in found], tuple(weights.style), shares)
        return FastStyleState(params, batch_stats, optimizer.init(params), grams, factors)

    def step(state, batch, key):
        def loss(params, batch_stats, batch, key):
            images = batch["image"]
            outputs, updated = apply_train(network, params, batch_stats, key, 2.0 * images - 1.0)
            means = {name: term.mean() for name, term in terms_of(state, images, (outputs + 1.0) / 2.0).items()}
            return Loss(sum(means.values(), jnp.zeros(())), updated, means)

        trained, metrics = update(state, loss, batch, key, optimizer, axis_name, accumulate)
        changed = {field.name: getattr(trained, field.name) for field in dataclasses.fields(TrainState)}
        return dataclasses.replace(state, **changed), metrics

    def painted(state, images):
        return (apply_eval(network, state.params, state.batch_stats, 2.0 * images - 1.0) + 1.0) / 2.0

    def evaluate(state, batch, key):
        del key
        terms = terms_of(state, batch["image"], painted(state, batch["image"]))
        return {"loss": sum(terms.values()), **terms}

    def sample(state, key, num, images):
        del key
        return painted(state, jnp.asarray(images[:num]))

    return Learner(init, step, evaluate, sample)
