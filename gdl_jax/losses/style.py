"""Losses of neural style transfer (Gatys, Ecker & Bethge 2015; book chapter 5).

Features are those of a trained network such as VGG16, {layer: (B, H, W, C)}. The content loss compares the features at
each position, the style loss their Gram matrices, and the total variation penalises noise. Each returns one value per
picture.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

Features = Mapping[str, jax.Array]  # {layer: (B, H, W, C)}
CONTENT_REDUCTIONS = ("sum", "mean")
GRAM_SCALES = ("book_text", "keras")
KERAS_CHANNELS = 3  # of the picture, whatever the layer's are
TV_EXPONENT = 1.25


class StyleWeights(NamedTuple):
    """Weights of the terms of the loss.

    Attributes:
      content: {layer: weight} of the content loss.
      style: {layer: weight} of the style loss.
      total_variation: weight.
      content_reduction: one of CONTENT_REDUCTIONS; see `content_loss`.
      gram_scale: one of GRAM_SCALES; see `gram_factor`.
    """

    content: Mapping[str, float]
    style: Mapping[str, float]
    total_variation: float
    content_reduction: str = "sum"
    gram_scale: str = "book_text"


def content_loss(features: jax.Array, target: jax.Array, reduction: str = "sum") -> jax.Array:
    """Returns sum_p,c (F_pc - P_pc)^2, as in the book's code, or its mean over positions and channels.

    Gatys et al. 2015, equation 1, has half the sum.

    Args:
      features, target: (B, H, W, C), of the picture and of the content picture; a batch of 1 stands for any.
      reduction: "sum", or "mean", which does not depend on the picture's size.

    Returns:
      (B,).
    """
    chex.assert_equal_shape_suffix([features, target], 3)
    squares = jnp.square(features - target).reshape(features.shape[0], -1)
    return squares.sum(1) if reduction == "sum" else squares.mean(1)


def gram_matrix(features: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Returns the mean over positions p of F_p F_p^T: correlations of the channels, without their places.

    Gatys et al. 2015, equation 3, and the book have the sum, M times this with M positions. The mean is the same for a
    texture of any size.

    Args:
      features: (B, H, W, C).
      mask: (1 or B, H, W), weights of the positions, for the mean over a part of the picture; or None.

    Returns:
      (B, C, C); 0 where the mask is empty.
    """
    chex.assert_rank(features, 4)
    batch, height, width, channels = features.shape
    flat = features.reshape(batch, height * width, channels)
    if mask is None:
        return jnp.einsum("bpi,bpj->bij", flat, flat) / (height * width)
    chex.assert_shape(mask, (None, height, width))
    weights = jnp.broadcast_to(mask, (batch, height, width)).reshape(batch, -1, 1)
    total = jnp.maximum(weights.sum(1, keepdims=True), 1e-6)
    return jnp.einsum("bpi,bpj->bij", weights * flat, flat) / total


def gram_factor(kind: str, channels: int, positions: float | jax.Array, pixels: int) -> float | jax.Array:
    """Returns the factor of sum_ij (G_ij - A_ij)^2 in a layer's style loss, for Gram matrices that are means.

    With sums over the M positions of a layer instead, M^2 times larger, the factors are
      book_text: 1 / (4 N^2 M^2) with N the layer's channels (Gatys et al. 2015, equation 4; the book's text);
      keras: 1 / (4 * 3^2 * pixels^2) for all layers (the book's code, from Keras's example).
    The second favours shallow layers: their M is larger.

    Args:
      kind: one of GRAM_SCALES.
      channels: N, of the layer.
      positions: M, of the layer; with a mask, the sum of its weights.
      pixels: height times width of the picture.
    """
    if kind == "book_text":
        return 1.0 / (4.0 * channels**2)
    return (positions / pixels) ** 2 / (4.0 * KERAS_CHANNELS**2)


def style_loss(gram: jax.Array, target: jax.Array, factor: float | jax.Array = 1.0) -> jax.Array:
    """Returns factor * sum_ij (G_ij - A_ij)^2 of a layer: (B, C, C), (1 or B, C, C) -> (B,)."""
    chex.assert_equal_shape_suffix([gram, target], 2)
    return factor * jnp.square(gram - target).sum((1, 2))


def total_variation(images: jax.Array) -> jax.Array:
    """Returns sum over pixels and colours of (dx^2 + dy^2)^1.25, the differences to the neighbours right and below.

    Differences are in units of 0..255. The last row and column are left out, as in the book's code, which calls it
    "total variance".

    Args:
      images: (B, H, W, 3) in [0, 1].

    Returns:
      (B,).
    """
    chex.assert_rank(images, 4)
    pixels = 255.0 * images
    corner = pixels[:, :-1, :-1]
    squares = jnp.square(corner - pixels[:, 1:, :-1]) + jnp.square(corner - pixels[:, :-1, 1:])
    return (squares**TV_EXPONENT).sum((1, 2, 3))


def shrunk_mask(mask: jax.Array, height: int, width: int) -> jax.Array:
    """Returns a mask (B, H, W) for features of fewer positions, (B, height, width), averaged."""
    return jax.image.resize(mask, (mask.shape[0], height, width), "linear", antialias=True)


def mixed_grams(styles: Sequence[Features], layers: Sequence[str], shares: Sequence[float]) -> dict[str, jax.Array]:
    """Returns {layer: (1, C, C)}, means of several pictures' Gram matrices; their weights `shares` add up to 1.

    The gradient of the style loss with this target is that of the pictures' style losses, averaged with the weights.
    """
    pairs = list(zip(shares, styles, strict=True))
    return {
        layer: sum((share * gram_matrix(style[layer]) for share, style in pairs), jnp.zeros(())) for layer in layers
    }


def style_terms(
    weights: StyleWeights,
    images: jax.Array,
    features: Features,
    content: Features,
    grams: Mapping[str, jax.Array],
    mask: jax.Array | None = None,
) -> dict[str, jax.Array]:
    """Returns the three terms of the loss times their weights: {"content", "style", "total_variation"}, (B,) each.

    Args:
      weights: of terms and layers.
      images: (B, H, W, 3) in [0, 1].
      features: of these images, at all layers of `weights`.
      content: of the content pictures, at the layers of `weights.content`; a batch of 1 stands for any.
      grams: {layer: (1, C, C)}, Gram matrices of the style, at the layers of `weights.style`.
      mask: (1 or B, H, W) in [0, 1], the part of the picture that gets the style; None: all of it.
    """
    count, height, width, _ = images.shape
    terms = {name: jnp.zeros(count) for name in ("content", "style", "total_variation")}
    for layer, weight in weights.content.items():
        terms["content"] += weight * content_loss(features[layer], content[layer], weights.content_reduction)
    for layer, weight in weights.style.items():
        rows, columns, channels = features[layer].shape[1:]
        part = None if mask is None else shrunk_mask(mask, rows, columns)
        positions = rows * columns if part is None else part.sum((1, 2))
        factor = gram_factor(weights.gram_scale, channels, positions, height * width)
        terms["style"] += weight * style_loss(gram_matrix(features[layer], part), grams[layer], factor)
    if weights.total_variation:
        terms["total_variation"] = weights.total_variation * total_variation(images)
    return terms
