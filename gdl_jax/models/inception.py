"""Inception-v3 (Szegedy et al. 2016) as a feature extractor, with weights from a Keras file.

The network is keras.applications.InceptionV3, for evaluation only. Keras's files of ImageNet weights are
inception_v3_weights_tf_dim_ordering_tf_kernels.h5 and, without the classifier, ..._notop.h5. These are not the weights
of Heusel et al. 2017, with which papers compute FID: the two kinds of FID are not comparable.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from gdl_jax.core.errors import UserError, first_line
from gdl_jax.core.extras import extra
from gdl_jax.nn.layers import Conv, Dense

CLASSES = 1000
EPSILON = 1e-3  # of the batch normalisation


class _Convolution(NamedTuple):
    """Convolution without bias, batch normalisation without scale, ReLU."""

    features: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: str = "SAME"


_Branch = tuple["str | _Convolution | tuple[_Convolution, ...]", ...]  # "average", "max"; a tuple: in parallel
_Block = tuple[_Branch, ...]  # branches of the same input, concatenated along the channels
_C = _Convolution


def _block_a(pooled: int) -> _Block:  # figure 5, but with one of its 5x5 convolutions kept
    return (_C(64),), (_C(48), _C(64, 5)), (_C(64), _C(96, 3), _C(96, 3)), ("average", _C(pooled))


def _block_b(width: int) -> _Block:  # figure 6
    row, column = (1, 7), (7, 1)
    twice = (_C(width), _C(width, column), _C(width, row), _C(width, column), _C(192, row))
    return (_C(192),), (_C(width), _C(width, row), _C(192, column)), twice, ("average", _C(192))


_SPLIT = (_C(384, (1, 3)), _C(384, (3, 1)))
_BLOCK_C = (_C(320),), (_C(384), _SPLIT), (_C(448), _C(384, 3), _SPLIT), ("average", _C(192))  # figure 7

BLOCKS: tuple[_Block, ...] = (
    (
        (
            *(_C(32, 3, 2, "VALID"), _C(32, 3, 1, "VALID"), _C(64, 3), "max"),  # (B, 73, 73, 64)
            *(_C(80), _C(192, 3, 1, "VALID"), "max"),  # (B, 35, 35, 192)
        ),
    ),
    *(_block_a(32), _block_a(64), _block_a(64)),  # (B, 35, 35, 256), then 288 channels
    ((_C(384, 3, 2, "VALID"),), (_C(64), _C(96, 3), _C(96, 3, 2, "VALID")), ("max",)),  # (B, 17, 17, 768)
    *(_block_b(128), _block_b(160), _block_b(160), _block_b(192)),
    (  # (B, 8, 8, 1280)
        (_C(192), _C(320, 3, 2, "VALID")),
        (_C(192), _C(192, (1, 7)), _C(192, (7, 1)), _C(192, 3, 2, "VALID")),
        ("max",),
    ),
    *(_BLOCK_C, _BLOCK_C),  # (B, 8, 8, 2048)
)


class _ConvNormRelu(nn.Module):
    """Layer of a `_Convolution`, (B, H, W, C) -> (B, H', W', features), with the statistics in "batch_stats"."""

    convolution: _Convolution

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        features, kernel, stride, padding = self.convolution
        x = Conv(features, kernel, stride, padding, use_bias=False, name="conv")(x)
        bias = self.param("bias", nn.initializers.zeros, (features,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (features,)).value
        var = self.variable("batch_stats", "var", jnp.ones, (features,)).value
        multiplier = lax.rsqrt(var + EPSILON)
        return nn.relu(x * multiplier + (bias - mean * multiplier))


def _average(x: jax.Array) -> jax.Array:
    """Averages over 3x3 windows without their padding (TensorFlow's SAME): (B, H, W, C) -> (B, H, W, C)."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


class InceptionV3(nn.Module):
    """Inception-v3 from images (B, H, W, 3), RGB in [0, 1], to features (B, 2048) and logits (B, 1000).

    For images of 299x299 pixels (as the shapes in this file), at least 75x75. Features are means over the last block's
    pixels. Logits are None where the variables lack the classifier, "predictions", which `init` creates. Convolutions
    are named "convolution_0" to "convolution_93", branch by branch.
    """

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        chex.assert_shape(images, (None, None, None, 3))
        numbers = iter(range(1000))

        def convolve(x, convolution):
            return _ConvNormRelu(convolution, name=f"convolution_{next(numbers)}")(x)

        def run(x, branch):
            for layer in branch:
                if layer == "average":
                    x = _average(x)
                elif layer == "max":
                    x = nn.max_pool(x, (3, 3), (2, 2))
                elif isinstance(layer, _Convolution):
                    x = convolve(x, layer)
                else:
                    x = jnp.concatenate([convolve(x, one) for one in layer], axis=-1)
            return x

        x = 2.0 * images - 1.0
        for block in BLOCKS:
            x = jnp.concatenate([run(x, branch) for branch in block], axis=-1)
        features = x.mean(axis=(1, 2))  # (B, 2048)
        if not (self.is_initializing() or self.has_variable("params", "predictions")):
            return features, None
        return features, Dense(CLASSES, name="predictions")(features)


def _keras_order() -> list[int]:
    """Returns the convolutions' numbers in the order in which Keras saves them.

    Within a block, Keras orders layers by the number of layers after them, most first. It counts three layers for a
    convolution with normalisation and ReLU, and one for the concatenation of parallel convolutions.
    """
    order: list[int] = []
    for block in BLOCKS:
        layers_after: list[int] = []
        for branch in block:
            after, of_branch = 0, []
            for layer in reversed(branch):
                if isinstance(layer, str):
                    after += 1
                elif isinstance(layer, _Convolution):
                    of_branch.append(after)
                    after += 3
                else:
                    of_branch += [after + 1] * len(layer)
                    after += 4
            layers_after += reversed(of_branch)
        order += [len(order) + i for i in sorted(range(len(layers_after)), key=lambda i: -layers_after[i])]
    return order


def _read_layers(path: Path) -> list[tuple[str, list[np.ndarray]]]:
    """Returns names and arrays of the layers with weights, in Keras's order."""
    with extra("faces"):
        import h5py  # takes 0.1 s, and few runs need it

    def arrays(group, names):
        return [np.asarray(group[name], np.float32) for name in names]

    def number(name):
        match = re.search(r"_(\d+)$", name)
        return int(match[1]) if match else 0

    with h5py.File(path) as file:
        if "layers" in file:  # Keras 3's .weights.h5: layers of a kind are numbered in Keras's order
            groups = {name: file["layers"][name].get("vars", {}) for name in sorted(file["layers"], key=number)}
            layers = {name: arrays(group, sorted(group, key=int)) for name, group in groups.items()}
        else:
            file = file.get("model_weights", file)  # in files of a whole model
            groups = {np.bytes_(name).decode(): file[name] for name in file.attrs["layer_names"]}
            layers = {name: arrays(group, group.attrs["weight_names"]) for name, group in groups.items()}
    return [(name, weights) for name, weights in layers.items() if weights]


def load_weights(path: str | Path) -> dict[str, dict]:
    """Reads variables for `InceptionV3` from a Keras file: .h5 (Keras 2 and 3) or .weights.h5 (Keras 3).

    Layers are matched by Keras's order, not by name. The variables have a classifier if the file has one.

    Raises:
      UserError: the file is missing, damaged, not a Keras HDF5 file, or of another network.
    """
    try:
        layers = _read_layers(Path(path))
    except UserError:  # h5py is missing
        raise
    except Exception as error:  # h5py has OSError, KeyError, RuntimeError and more for damaged bytes
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else f"not an HDF5 file of Keras weights: {first_line(error)}"
        raise UserError(f"{path}: {reason}") from error
    shapes = jax.eval_shape(InceptionV3().init, jax.random.key(0), jnp.zeros((1, 75, 75, 3)))
    names = [f"convolution_{number}" for number in _keras_order()]
    kernels, norms, dense = ([layer for layer in layers if len(layer[1]) == count] for count in (1, 3, 2))
    counts = (len(kernels), len(norms), len(layers) - len(kernels) - len(norms))
    if counts[:2] != (len(names), len(names)) or counts[2] != len(dense) or len(dense) > 1:
        raise UserError(
            f"{path}: has {counts[0]} convolutions without bias, {counts[1]} batch normalisations without scale and "
            f"{counts[2]} other layers; Inception-v3 has {len(names)}, {len(names)} and 1 or 0"
        )

    def checked(layer, *like):
        name, weights = layer
        actual, expected = [array.shape for array in weights], [leaf.shape for leaf in like]
        if actual != expected:
            raise UserError(f"{path}: layer {name} has shapes {actual}; Inception-v3 expects {expected}")
        return [jnp.asarray(array) for array in weights]

    params, statistics = {}, {}
    for name, kernel, norm in zip(names, kernels, norms, strict=True):
        like, of_norm = shapes["params"][name], shapes["batch_stats"][name]
        (kernel,) = checked(kernel, like["conv"]["kernel"])
        bias, mean, var = checked(norm, like["bias"], of_norm["mean"], of_norm["var"])
        params[name] = {"conv": {"kernel": kernel}, "bias": bias}
        statistics[name] = {"mean": mean, "var": var}
    for layer in dense:
        like = shapes["params"]["predictions"]
        kernel, bias = checked(layer, like["kernel"], like["bias"])
        params["predictions"] = {"kernel": kernel, "bias": bias}
    return {"params": params, "batch_stats": statistics}
