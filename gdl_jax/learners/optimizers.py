"""Optimisers with Keras's defaults, by name or as `package.module:function` (learning_rate -> transformation)."""

from collections.abc import Callable
from functools import partial

import optax

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.core.lookup import resolve

KERAS_EPSILON = 1e-7  # optax has 1e-8; it adds it after correcting the bias, Keras before: negligible

OPTIMIZERS: dict[str, Callable[[float], optax.GradientTransformation]] = {
    "adam": partial(optax.adam, eps=KERAS_EPSILON),
    "adam_0.5": partial(optax.adam, b1=0.5, eps=KERAS_EPSILON),  # the usual first moment's decay of GANs
    "adam_0": partial(optax.adam, b1=0.0, b2=0.9, eps=KERAS_EPSILON),  # WGAN-GP's own (Gulrajani et al. 2017)
    "rmsprop": partial(optax.rmsprop, decay=0.9, eps=KERAS_EPSILON, eps_in_sqrt=False),
    "sgd": optax.sgd,
}


def make_optimizer(name: str, learning_rate: float, player: str = "") -> optax.GradientTransformation:
    """The optimiser that --{player}optimizer names, with a constant learning rate (the book never lets it decay).

    Raises:
      UserError: no such optimiser, something else of that name, or a learning rate that isn't positive.
    """
    if not learning_rate > 0:
        raise UserError(f"--{player}learning_rate={learning_rate}: must be positive")
    try:
        optimizer = resolve(f"{player}optimizer", name, OPTIMIZERS)(learning_rate)
    except UserError:
        raise
    except Exception as error:  # it is the user's, and may raise anything
        raise UserError(f"--{player}optimizer={name}: {name}({learning_rate}) fails: {first_line(error)}") from error
    if not isinstance(optimizer, optax.GradientTransformation):
        kind = type(optimizer).__name__
        raise UserError(f"--{player}optimizer={name}: must return an optax.GradientTransformation, not {kind}")
    return optimizer
