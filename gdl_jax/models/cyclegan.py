"""Generators and critics of both directions as one module each (CycleGAN; Zhu et al. 2017, book 05_01).

The two networks of a module have the same architecture and run together, with parameters stacked along a leading axis
of size 2: half as many operations to compile.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

DIRECTIONS = ("AtoB", "BtoA")  # of the generators, in the order of their parameters


def _both(network: nn.Module, x: jax.Array, train: bool) -> jax.Array:
    """Applies two copies of a network, inside a compact method: (2, B, ...) -> (2, B, ...)."""
    stacked = nn.vmap(
        lambda module, x: module(x, train=train),
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True, "dropout": True},
    )
    return stacked(network, x)


def one_of(variables: Any, direction: str) -> Any:
    """Returns the variables of one generator, for `network` alone, from those of `Translators`."""
    index = DIRECTIONS.index(direction)
    return {
        collection: jax.tree.map(lambda leaf: leaf[index], values["network"])
        for collection, values in variables.items()
        if values
    }


class Translators(nn.Module):
    """Generators between two domains, applied to {"a": (B, H, W, C), "b": (B, H, W, C)} in [-1, 1].

    Returns the images that the losses compare, each of its domain and (B, H, W, C): "fake_a" and "fake_b" (translated),
    "cycle_a" and "cycle_b" (translated to the other domain and back) and, with `identity`, "identity_a" and
    "identity_b" (images of a domain through the generator of that domain).

    Attributes:
      network: generator of either direction, (images, train) -> images.
      identity: apply the generators to their own domain, too.
      joint: apply a generator to both domains as one batch, which is faster but, with batch normalisation, would mix
        their statistics.
    """

    network: nn.Module
    identity: bool = True
    joint: bool = True

    @nn.compact
    def __call__(self, images: dict[str, jax.Array], *, train: bool) -> dict[str, jax.Array]:
        a, b = images["a"], images["b"]
        chex.assert_rank((a, b), 4)
        chex.assert_equal_shape((a, b))
        # Images of both domains take turns, so that a batch keeps its place on the devices.
        if self.identity and self.joint:
            both = jnp.stack([a, b], axis=1)  # (B, 2, H, W, C)
            both = jnp.stack([both, both[:, ::-1]]).reshape(2, 2 * len(a), *a.shape[1:])
            to_b, to_a = _both(self.network, both, train).reshape(2, len(a), 2, *a.shape[1:])
            fake_b, fake_a = to_b[:, 0], to_a[:, 0]
            same = {"identity_a": to_a[:, 1], "identity_b": to_b[:, 1]}
        else:
            (fake_b, fake_a), same = _both(self.network, jnp.stack([a, b]), train), {}
            if self.identity:
                same["identity_b"], same["identity_a"] = _both(self.network, jnp.stack([b, a]), train)
        cycle_b, cycle_a = _both(self.network, jnp.stack([fake_a, fake_b]), train)
        return {"fake_a": fake_a, "fake_b": fake_b, "cycle_a": cycle_a, "cycle_b": cycle_b, **same}


class Critics(nn.Module):
    """Critics of both domains: {"a": (B, H, W, C), "b": ...} -> {"a": scores (B, H', W'), "b": ...}.

    Attributes:
      network: critic of either domain, (images, train) -> scores.
    """

    network: nn.Module

    @nn.compact
    def __call__(self, images: dict[str, jax.Array], *, train: bool) -> dict[str, jax.Array]:
        scores_a, scores_b = _both(self.network, jnp.stack([images["a"], images["b"]]), train)
        return {"a": scores_a, "b": scores_b}
