"""Layers of the book's models, with Keras's defaults.

Kernels are initialised Glorot-uniform, embeddings uniform, biases zero; padding "SAME" and transposed convolutions are
aligned as in TensorFlow; batch normalisation has momentum 0.99 and epsilon 1e-3; leaky ReLU has slope 0.3. Convolutions
are those of `nn.conv`. `dtype` is the type of a layer's computation (such as bfloat16); parameters are float32.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax

from gdl_jax.core.prng import example_keys
from gdl_jax.nn.conv import conv, conv_transpose, upsample_conv
from gdl_jax.nn.dense import dense

SMALLEST_NORM = 1e-12
EMBEDDING_LIMIT = 0.05
Initializer = Callable[..., jax.Array]
glorot_uniform = nn.initializers.glorot_uniform()
normal_init = nn.initializers.normal(0.02)  # of convolutional GANs (Radford et al. 2016; book chapters 4 and 5)


def embedding_uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Initialises embeddings (V, E) uniformly in [-EMBEDDING_LIMIT, EMBEDDING_LIMIT)."""
    return jax.random.uniform(key, shape, dtype, -EMBEDDING_LIMIT, EMBEDDING_LIMIT)


def leaky_relu(x: jax.Array, negative_slope: float = 0.3) -> jax.Array:
    """Returns max(x, negative_slope * x); the default slope is that of Keras's LeakyReLU()."""
    return nn.leaky_relu(x, negative_slope)


ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "leaky_relu": leaky_relu,
    "elu": nn.elu,
    "gelu": nn.gelu,  # approximated by tanh
    "gelu_exact": partial(nn.gelu, approximate=False),
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "swish": nn.swish,
    "identity": lambda x: x,
}


class _SpectralNorm(nn.Module):
    """Spectral normalisation w / sigma(w), with sigma the largest singular value of w as a matrix (inputs, features).

    Miyato et al. 2018, algorithm 1. Collection "batch_stats" holds estimates of the first left and right singular
    vectors: INITIAL_ITERATIONS power iterations at initialisation, and one before each use while the collection is
    mutable (in training).
    """

    INITIAL_ITERATIONS = 15

    @nn.compact
    def __call__(self, kernel: jax.Array) -> jax.Array:
        matrix = kernel.reshape(-1, kernel.shape[-1])
        fixed = lax.stop_gradient(matrix)

        def unit(vector):
            return vector / (jnp.linalg.norm(vector) + SMALLEST_NORM)

        def iterate(vectors):
            left = unit(fixed @ vectors[1])
            return left, unit(left @ fixed)

        rows, columns = matrix.shape
        left = self.variable("batch_stats", "left", lambda: jnp.zeros(rows))
        right = self.variable("batch_stats", "right", lambda: jnp.full(columns, columns**-0.5))
        if self.is_mutable_collection("batch_stats"):
            count = self.INITIAL_ITERATIONS if self.is_initializing() else 1
            left.value, right.value = lax.fori_loop(0, count, lambda _, v: iterate(v), (left.value, right.value))
        sigma = lax.stop_gradient(left.value) @ matrix @ lax.stop_gradient(right.value)
        return kernel / jnp.maximum(sigma, SMALLEST_NORM)


class Dense(nn.Module):
    """Dense layer (B, I) -> (B, features): flax's with Keras's defaults, `nn.dense`'s CPU speed and spectral norm.

    Attributes:
      features: output channels.
      use_bias: add a bias.
      kernel_init: initializer of the kernel, (I, features).
      spectral_norm: divide the kernel by its largest singular value.
      dtype: of the computation; None: promoted from input and parameters.
    """

    features: int
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    spectral_norm: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        if self.spectral_norm:
            kernel = _SpectralNorm(name="spectral_norm")(kernel)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = dense(x, kernel)
        return y if bias is None else y + bias


class _Convolution(nn.Module):
    """Base of the convolutional layers, (B, H, W, C) -> (B, H', W', features).

    Attributes:
      features: output channels.
      kernel_size: one number, or (vertical, horizontal); likewise `strides`.
      padding: "SAME" or "VALID".
      use_bias: add a bias.
      kernel_init: initializer of the kernel, (kh, kw, C, features).
      spectral_norm: divide the kernel by its largest singular value, as a matrix (kh * kw * C, features).
      dtype: of the computation; None: promoted from input and parameters.
    """

    features: int
    kernel_size: int | tuple[int, int]
    strides: int | tuple[int, int] = 1
    padding: str = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = glorot_uniform
    spectral_norm: bool = False
    dtype: jnp.dtype | None = None

    def convolve(self, x: jax.Array, function: Callable[..., jax.Array]) -> jax.Array:
        size = (self.kernel_size,) * 2 if isinstance(self.kernel_size, int) else tuple(self.kernel_size)
        kernel = self.param("kernel", self.kernel_init, (*size, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else None
        if self.spectral_norm:
            kernel = _SpectralNorm(name="spectral_norm")(kernel)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = function(x, kernel, self.strides, self.padding)
        return y if bias is None else y + bias


class Conv(_Convolution):
    """2-D convolution: flax's with Keras's defaults, `nn.conv.conv`'s CPU speed and spectral norm.

    SAME divides the image's size by the stride, rounding up.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.convolve(x, conv)


class ConvTranspose(_Convolution):
    """Transposed 2-D convolution: flax's, aligned as Keras's, with `nn.conv.conv_transpose`'s CPU speed.

    SAME multiplies the image's size by the stride.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.convolve(x, conv_transpose)


class UpsampleConv(_Convolution):
    """Nearest-neighbour upsampling by `strides`, then a SAME convolution; see `nn.conv.upsample_conv`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.padding != "SAME":
            raise ValueError(f"UpsampleConv pads SAME, not {self.padding}")
        return self.convolve(x, lambda x, kernel, factor, padding: upsample_conv(x, kernel, factor))


class BatchNorm(nn.Module):
    """Batch normalisation: flax's with Keras's defaults, computed as one multiply-add for speed on CPU.

    Each channel (the last axis) is normalised over all other axes, then scaled and shifted. Collection "batch_stats"
    holds running averages of the mean and of the biased variance (Keras 2 averages the unbiased one, larger by a factor
    n / (n - 1) with n = B * H * W). Statistics are float32 for every type of x.

    Attributes:
      momentum: of the running averages.
      epsilon: added to the variance.
      axis_name: the pmapped axis over which statistics are averaged, or None.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, use_running_average: bool) -> jax.Array:
        shape = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        if use_running_average:
            mean, var = running_mean.value, running_var.value
        else:
            axes = tuple(range(x.ndim - 1))
            wide = x.astype(jnp.float32)
            mean, mean_of_squares = wide.mean(axes), jnp.square(wide).mean(axes)
            if self.axis_name is not None and not self.is_initializing():
                mean, mean_of_squares = lax.pmean((mean, mean_of_squares), self.axis_name)
            var = jnp.maximum(mean_of_squares - jnp.square(mean), 0.0)
            if not self.is_initializing():
                running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
                running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
        multiplier = scale * lax.rsqrt(var + self.epsilon)
        return (x * multiplier + (bias - mean * multiplier)).astype(x.dtype)


def with_axis_name(module: nn.Module, axis_name: str | None) -> nn.Module:
    """Returns the module with its field `axis_name` set, or unchanged where it has no such field.

    Only modules that contain batch normalisation or dropout have one.

    Args:
      module: unbound.
      axis_name: the pmapped axis over which the batch is split, or None.
    """
    has_it = any(field.name == "axis_name" for field in dataclasses.fields(module))
    return module.clone(axis_name=axis_name) if has_it else module


def _mix(x: jax.Array) -> jax.Array:
    """Mixes the bits of uint32, one to one (the low-bias hash of Wellons's hash-prospector)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def example_bits(keys: jax.Array, size: int) -> jax.Array:
    """Returns random uint32, (B, size), from one key per example: a hash of the element's index and the key's words.

    Weaker than threefry but sufficient for dropout masks, and elementwise, so XLA fuses it with its consumer. With
    threefry, dropout took half of a training step of the book's face VAE on CPU.
    """
    words = jax.random.key_data(keys)  # (B, 2)
    counter = lax.iota(jnp.uint32, size)
    return _mix(_mix(counter + words[:, :1]) ^ words[:, 1:])


class Dropout(nn.Module):
    """Dropout: flax's with cheaper random bits, and one key per example so that masks don't depend on the sharding.

    Elements are zeroed with probability `rate`, the others divided by 1 - rate. Keys come from the rng collection
    "dropout".

    Attributes:
      rate: probability of zero, in [0, 1].
      axis_name: the pmapped axis over which the batch is split, or None.
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> jax.Array:
        if deterministic or self.rate == 0:
            return x
        if self.rate == 1:
            return jnp.zeros_like(x)
        keys = example_keys(self.make_rng("dropout"), x.shape[0], self.axis_name)
        bits = example_bits(keys, x[0].size).reshape(x.shape)
        kept = 1.0 - self.rate
        return jnp.where(bits < jnp.uint32(kept * 2**32), x / kept, 0).astype(x.dtype)
