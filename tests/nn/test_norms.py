"""Instance normalisation and reflection padding against NumPy, and norms by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.nn.norms import NORMS, InstanceNorm, has_bias, norm, reflect_pad

IMAGES = np.random.default_rng(0).normal(3.0, 2.0, (3, 5, 4, 2)).astype(np.float32)


class Named(nn.Module):
    """The normalisation of a name."""

    name_of_norm: str

    @nn.compact
    def __call__(self, x, *, train):
        return norm(self.name_of_norm, train)(x)


def normalised(x, axes, epsilon=1e-5):
    x = np.asarray(x, np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_each_channel_of_each_image_is_normalised():
    y = InstanceNorm().apply({}, IMAGES)
    np.testing.assert_allclose(y, normalised(IMAGES, (1, 2)), rtol=1e-4, atol=1e-5)
    small = 1e-3 * IMAGES  # the variance is as small as epsilon
    np.testing.assert_allclose(
        InstanceNorm(epsilon=1e-6).apply({}, small), normalised(small, (1, 2), 1e-6), rtol=1e-3, atol=1e-4
    )


def test_affine_norm_scales_and_shifts_each_channel():
    scale, bias = np.array([2.0, -1.0], np.float32), np.array([0.5, 3.0], np.float32)
    y = InstanceNorm(affine=True).apply({"params": {"scale": scale, "bias": bias}}, IMAGES)
    np.testing.assert_allclose(y, scale * normalised(IMAGES, (1, 2)) + bias, rtol=1e-4, atol=1e-5)
    first = InstanceNorm(affine=True).init(jax.random.key(0), IMAGES)
    np.testing.assert_array_equal(first["params"]["scale"], np.ones(2))
    np.testing.assert_array_equal(first["params"]["bias"], np.zeros(2))


def test_statistics_of_bfloat16_images_are_float32():
    coarse = jnp.asarray(100.0 + IMAGES, jnp.bfloat16)  # steps of 1/2 at 100: a mean in bfloat16 is wrong by up to 1/4
    y = InstanceNorm().apply({}, coarse)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float64), normalised(coarse, (1, 2)), rtol=0.01, atol=1e-3)


def test_a_single_pixel_becomes_zero():
    np.testing.assert_array_equal(InstanceNorm().apply({}, IMAGES[:, :1, :1]), np.zeros((3, 1, 1, 2)))


def test_batch_norm_has_pytorch_s_momentum_and_epsilon():
    module, images = Named("batch"), 1e-2 * IMAGES
    first = module.init(jax.random.key(0), images, train=False)
    y, after = module.apply(first, images, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, normalised(images, (0, 1, 2)), rtol=1e-3, atol=1e-4)
    (running,) = after["batch_stats"].values()
    np.testing.assert_allclose(running["mean"], 0.1 * images.mean((0, 1, 2)), rtol=1e-4)
    used = module.apply(first | after, images, train=False)
    expected = (images - running["mean"]) / np.sqrt(running["var"] + 1e-5)
    np.testing.assert_allclose(used, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NORMS)
def test_names_say_whether_a_norm_has_a_bias(name):
    variables = jax.eval_shape(lambda: Named(name).init(jax.random.key(0), IMAGES, train=False))
    leaves = jax.tree.leaves_with_path(variables.get("params", {}))
    assert any(path[-1].key == "bias" for path, _ in leaves) == has_bias(name)
    assert ("batch_stats" in variables) == (name == "batch")


def test_no_norm_changes_nothing_and_unknown_names_are_refused():
    np.testing.assert_array_equal(Named("none").apply({}, IMAGES, train=True), IMAGES)
    with pytest.raises(KeyError):
        Named("layer").apply({}, IMAGES, train=True)
    with pytest.raises(AssertionError):
        InstanceNorm().apply({}, IMAGES[0])


@pytest.mark.parametrize("width", [0, 1, 3])
def test_padding_reflects_without_the_edge(width):
    expected = np.stack([np.pad(image, [(width, width), (width, width), (0, 0)], "reflect") for image in IMAGES])
    np.testing.assert_array_equal(reflect_pad(IMAGES, width), expected)
    assert width == 0 or expected[0, width - 1, width, 0] == IMAGES[0, 1, 0, 0] != IMAGES[0, 0, 0, 0]
