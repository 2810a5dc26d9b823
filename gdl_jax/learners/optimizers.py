"""Optimisers with Keras's defaults, by name or as `package.module:function` (learning_rate -> transformation)."""

from collections.abc import Callable
from functools import partial

import optax

from gdl_jax.core.errors import UserError
from gdl_jax.core.named import resolve

KERAS_EPSILON = 1e-7  # optax has 1e-8; it adds it after correcting the bias, Keras before: negligible

OPTIMIZERS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "adam": partial(optax.adam, eps=KERAS_EPSILON),
    "rmsprop": partial(optax.rmsprop, decay=0.9, eps=KERAS_EPSILON, eps_in_sqrt=False),
    "sgd": optax.sgd,
}


def make_optimizer(name: str, learning_rate: float) -> optax.GradientTransformation:
    """The optimiser that --optimizer names, with a constant learning rate (the book never lets it decay).

    Raises:
      UserError: no such optimiser, something else of that name, or a learning rate that isn't positive.
    """
    if not learning_rate > 0:
        raise UserError(f"--learning_rate={learning_rate}: must be positive")
    try:
        optimizer = resolve("optimizer", name, OPTIMIZERS)(learning_rate)
    except TypeError as error:
        raise UserError(f"--optimizer={name}: {name}({learning_rate}) fails: {error}") from error
    if not isinstance(optimizer, optax.GradientTransformation):
        kind = type(optimizer).__name__
        raise UserError(f"--optimizer={name}: must return an optax.GradientTransformation, not {kind}")
    return optimizer
