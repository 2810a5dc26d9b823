"""Helper that finds the inputs of a network's dropout layers."""

import jax
from flax import linen as nn

from gdl_jax.nn.layers import Dropout


def dropped_widths(module, variables, *inputs) -> list[int]:
    """Returns the last dimension of each dropout layer's input, in the order of the calls."""
    widths = []

    def note(call, args, kwargs, context):
        if isinstance(context.module, Dropout):
            widths.append(args[0].shape[-1])
        return call(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: module.apply(variables, *inputs, train=True, rngs={"dropout": jax.random.key(0)}))
    return widths
