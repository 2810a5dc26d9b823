"""Neural style transfer, whose parameters are the pixels of one picture (Gatys et al. 2015; book chapter 5).

Content and style pictures are in the batch. The features that the picture is to have are computed once, by `init`, and
kept in the state; a step does not use its batch.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from gdl_jax.core.learner import Batch, Learner, Metrics
from gdl_jax.learners.gradient import TrainState
from gdl_jax.losses.style import Features, StyleWeights, mixed_grams, shrunk_mask, style_terms

STARTS = ("content", "style", "noise")
FIRST_STEP = 0.03  # root mean square of the first change of pixels that L-BFGS tries, before it knows any curvature
LINE_SEARCH_STEPS = 20  # most evaluations of a step
LEAST_MEAN = 1e-6  # of features
LEAST_NORM = 1e-30  # of a gradient
LEAST_UNIT = 1e-6  # of the loss, where the start has none

FeatureFunction = Callable[[jax.Array], Features]


class Targets(NamedTuple):
    """Features for a picture of one size to match.

    Attributes:
      content: {layer: (1, h, w, C)}.
      grams: {layer: (1, C, C)}.
      factors: {layer: ()}, by which the network's features are multiplied first.
      mask: (1, H, W), the part that gets the style; None: all of it.
    """

    content: dict[str, jax.Array]
    grams: dict[str, jax.Array]
    factors: dict[str, jax.Array]
    mask: jax.Array | None


@struct.dataclass
class StyleState(TrainState):
    """State of a picture; `params` and all tuples have an entry for each size, the smallest first.

    Attributes:
      targets: of each size.
      units: (), for each size the loss of the start, by which the optimiser's objective is divided. Losses of 1e9 and
        more would be too large for a line search in float32.
      step: (), number of updates.
      evaluations: (), number of evaluations of the loss and its gradient.
    """

    targets: tuple[Targets, ...]
    units: tuple[jax.Array, ...]
    step: jax.Array
    evaluations: jax.Array


def lbfgs(memory_size: int) -> optax.GradientTransformationExtraArgs:
    """Returns L-BFGS with a zoom line search: `optax.lbfgs`, but with a first step whose length suits pixels.

    Args:
      memory_size: number of past steps from which the curvature is estimated; each takes the memory of two pictures.
    """
    search = optax.scale_by_zoom_linesearch(LINE_SEARCH_STEPS, initial_guess_strategy="one")
    return optax.chain(optax.scale_by_lbfgs(memory_size), optax.scale(-1.0), _first_step_of(FIRST_STEP), search)


def _first_step_of(size: float) -> optax.GradientTransformation:
    """Returns a transformation that scales the first update to this root mean square and changes no other."""

    def init(params):
        del params
        return optax.ScaleByScheduleState(count=jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        del params
        length = size * float(updates.size) ** 0.5 / jnp.maximum(optax.tree.norm(updates), LEAST_NORM)
        factor = jnp.where(state.count == 0, length, 1.0)
        return factor * updates, optax.ScaleByScheduleState(count=optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)


def style_images(batch: Batch) -> list[jax.Array]:
    """Returns the style pictures of a batch, (1, h, w, 3) each: "style_0", "style_1", ..."""
    names = sorted((name for name in batch if name.startswith("style_")), key=lambda name: int(name[6:]))
    return [batch[name][:1] for name in names]


def resized(image: jax.Array, height: int, width: int) -> jax.Array:
    """Resizes (1, h, w, 3) to (1, height, width, 3): antialiased if it becomes smaller, else cubic."""
    method = "linear" if height < image.shape[1] else "cubic"
    return jax.image.resize(image, (1, height, width, 3), method) if image.shape[1:3] != (height, width) else image


def activation_factors(pictures: Sequence[Features], mean: float) -> dict[str, jax.Array]:
    """Returns {layer: ()}, factors that give a layer's features over all pictures this mean; 1 if it is 0."""
    if not mean:
        return {layer: jnp.ones(()) for layer in pictures[0]}
    means = {layer: sum(each[layer].mean() for each in pictures) / len(pictures) for layer in pictures[0]}
    return {layer: mean / jnp.maximum(found, LEAST_MEAN) for layer, found in means.items()}


def scaled(features: Features, factors: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns features, those of each layer multiplied by its factor."""
    return {layer: factors[layer] * values for layer, values in features.items()}


def measure_targets(
    features: FeatureFunction,
    weights: StyleWeights,
    batch: Batch,
    shares: Sequence[float],
    activation: float,
    halvings: int = 0,
) -> Targets:
    """Returns the targets for a picture of the content's size, halved `halvings` times.

    The style pictures are made smaller by the same factor. Arguments are those of `style_transfer`.
    """

    def halved(image):
        height, width = (max(1, side >> halvings) for side in image.shape[1:3])
        return resized(image, height, width)

    content = halved(batch["content"][:1])
    pictures = [features(image) for image in (content, *map(halved, style_images(batch)))]
    factors = activation_factors(pictures, activation)
    found, *styles = (scaled(each, factors) for each in pictures)
    mask = shrunk_mask(batch["mask"][:1], *content.shape[1:3]) if "mask" in batch else None
    grams = mixed_grams(styles, tuple(weights.style), shares)
    return Targets({layer: found[layer] for layer in weights.content}, grams, factors, mask)


def picture_terms(
    features: FeatureFunction, weights: StyleWeights, targets: Targets, images: jax.Array
) -> dict[str, jax.Array]:
    """Returns the terms of the loss of images (B, H, W, 3), (B,) each; see `losses.style.style_terms`."""
    found = scaled(features(images), targets.factors)
    return style_terms(weights, images, found, targets.content, targets.grams, targets.mask)


def picture_loss(features: FeatureFunction, weights: StyleWeights, targets: Targets, image: jax.Array) -> jax.Array:
    """Returns the loss of an image (1, H, W, 3), ()."""
    return sum(picture_terms(features, weights, targets, image).values(), jnp.zeros(()))[0]


def _start(kind: str, batch: Batch, key: jax.Array, halvings: int) -> jax.Array:
    """Returns the picture before the first update; uniform noise if `kind` is "noise"."""
    height, width = (side >> halvings for side in batch["content"].shape[1:3])
    if kind == "noise":
        return jax.random.uniform(key, (1, height, width, 3))
    return resized(batch["content"][:1] if kind == "content" else style_images(batch)[0], height, width)


def style_transfer(
    features: FeatureFunction,
    weights: StyleWeights,
    optimizer: optax.GradientTransformation,
    *,
    has_line_search: bool,
    start: str = "content",
    shares: Sequence[float] = (1.0,),
    activation: float = 0.0,
    scales: int = 1,
    coarse_steps: int = 0,
) -> Learner:
    """Paints a picture with the content of one and the style of others.

    Args:
      features: images (B, H, W, 3) in [0, 1] -> features at the layers of `weights`, at least.
      weights: of the terms.
      optimizer: of the pixels.
      has_line_search: True for `lbfgs`; a step evaluates the loss as often as its line search needs. False: once.
      start: one of STARTS.
      shares: of the style pictures; they add up to 1.
      activation: each layer's features are multiplied by a constant that makes this their mean over content and style
        pictures, so that weights suit any network (Gatys et al. rescale VGG to mean activations of 1); 0: by 1.
      scales: number of sizes. The picture is painted at 1 / 2^(scales - 1) of its size first, and each size starts from
        the result of the one before, enlarged.
      coarse_steps: updates at each size but the last; at least 1 with several sizes.

    The batch has "content" (B, H, W, 3), "style_0", "style_1", ... (B, h, w, 3) and perhaps "mask" (B, H, W), in
    [0, 1]; its rows are alike and only the first is used. `evaluate` repeats the picture's numbers for every example:
    "loss", its terms "content", "style" and "total_variation" with their weights, all at the full size, and
    "evaluations". In training, "loss" is at the current size, after the update if there is a line search, else before
    it. `sample(state, key, num)` returns the picture `num` times, (num, H, W, 3), not clipped.
    """
    last = scales - 1

    def init(key, batch):
        halvings = range(last, -1, -1)
        images = tuple(_start(start, batch, key, n) for n in halvings)
        targets = tuple(measure_targets(features, weights, batch, shares, activation, n) for n in halvings)
        losses = [picture_loss(features, weights, *pair) for pair in zip(targets, images, strict=True)]
        units = tuple(jnp.maximum(loss, LEAST_UNIT) for loss in losses)
        zero = jnp.zeros((), jnp.int32)
        return StyleState(images, {}, tuple(map(optimizer.init, images)), targets, units, zero, zero)

    def size_after(steps: jax.Array) -> jax.Array:
        """Returns the index of the size at which the update after this many is made."""
        return jnp.minimum(steps // max(coarse_steps, 1), last)

    def update(index: int, state: StyleState) -> tuple[StyleState, Metrics]:
        unit, take_step = state.units[index], _line_search_step if has_line_search else _gradient_step
        loss = partial(picture_loss, features, weights, state.targets[index])
        image, opt_state, metrics = take_step(
            optimizer, lambda image: loss(image) / unit, state.params[index], state.opt_state[index]
        )
        changed = dataclasses.replace(
            state,
            params=_replaced(state.params, index, image),
            opt_state=_replaced(state.opt_state, index, opt_state),
            evaluations=state.evaluations + metrics["evaluations"].astype(jnp.int32),
        )
        return changed, metrics | {name: unit * metrics[name] for name in ("loss", "gradient_norm")}

    def step(state, batch, key):
        del batch, key
        for index in range(1, scales):
            enlarged = resized(state.params[index - 1], *state.params[index].shape[1:3])
            image = jnp.where(state.step == index * coarse_steps, enlarged, state.params[index])
            state = state.replace(params=_replaced(state.params, index, image))
        if last:
            updates = [partial(update, index) for index in range(scales)]
            state, metrics = lax.switch(size_after(state.step), updates, state)
        else:
            state, metrics = update(0, state)
        return state.replace(step=state.step + 1), metrics

    def picture(state: StyleState) -> jax.Array:
        """Returns the picture at its full size, (1, H, W, 3)."""
        height, width = state.params[-1].shape[1:3]
        if not last:
            return state.params[0]
        enlarged = [lambda image=image: resized(image, height, width) for image in state.params]
        return lax.switch(size_after(jnp.maximum(state.step - 1, 0)), enlarged)

    def evaluate(state, batch, key):
        del key
        terms = picture_terms(features, weights, state.targets[-1], picture(state))
        values = {"loss": sum(terms.values()), **terms, "evaluations": state.evaluations[None].astype(jnp.float32)}
        return {name: jnp.broadcast_to(value, batch["content"].shape[:1]) for name, value in values.items()}

    def sample(state, key, num):
        del key
        return jnp.repeat(picture(state), num, axis=0)

    return Learner(init, step, evaluate, sample)


def _replaced(values: tuple, index: int, value: Any) -> tuple:
    return (*values[:index], value, *values[index + 1 :])


def _gradient_step(
    optimizer: optax.GradientTransformation, loss: Callable[[jax.Array], jax.Array], image: jax.Array, opt_state: Any
) -> tuple[jax.Array, Any, Metrics]:
    """Evaluates loss and gradient once and takes a step; returns (image, opt_state, metrics)."""
    value, gradient = jax.value_and_grad(loss)(image)
    updates, opt_state = optimizer.update(gradient, opt_state, image)
    metrics = {"loss": value, "evaluations": jnp.ones(()), "gradient_norm": optax.tree.norm(gradient)}
    return optax.apply_updates(image, updates), opt_state, metrics


def _line_search_step(
    optimizer: optax.GradientTransformation, loss: Callable[[jax.Array], jax.Array], image: jax.Array, opt_state: Any
) -> tuple[jax.Array, Any, Metrics]:
    """Takes a step of L-BFGS; the value and the gradient at its end are kept in `opt_state` for the next one."""
    is_known = jnp.isfinite(optax.tree.get(opt_state, "value"))
    value, gradient = optax.value_and_grad_from_state(loss)(image, state=opt_state)
    updates, opt_state = optax.with_extra_args_support(optimizer).update(
        gradient, opt_state, image, value=value, grad=gradient, value_fn=loss
    )
    evaluations = optax.tree.get(opt_state, "num_linesearch_steps") + jnp.where(is_known, 0, 1)
    metrics = {
        "loss": optax.tree.get(opt_state, "value"),
        "evaluations": evaluations.astype(jnp.float32),
        "gradient_norm": optax.tree.norm(gradient),
    }
    return optax.apply_updates(image, updates), opt_state, metrics
