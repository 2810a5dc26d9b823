"""U-Net, ResNet, PatchGAN, and the modules of both directions: shapes, paths of information, and errors."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.core.errors import ConfigError
from gdl_jax.models import cyclegan, patchgan, resnet_generator, unet
from tests.models.dropped import dropped_widths
from tests.models.test_networks import variables

UNET = unet.Config(unet_filters=2, unet_depth=2)
RESNET = resnet_generator.Config(resnet_filters=2, resnet_blocks=1, resnet_kernel_size=3)
CRITIC = patchgan.Config(critic_filters=2, critic_layers=1)
SMALL_PIX2PIX = unet.PIX2PIX | {"unet_filters": 2, "unet_depth": 2}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)  # not square


def shape_of(module, *shapes):
    """Returns shape and dtype of a module's outputs; nothing is computed."""
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    out, _ = jax.eval_shape(lambda *x: module.init_with_output(jax.random.key(0), *x, train=False), *inputs)
    return out


@pytest.mark.parametrize(
    "module",
    [
        *(unet.UNet(UNET, channels) for channels in (1, 3)),
        unet.UNet(unet.Config(**SMALL_PIX2PIX)),
        unet.UNet(dataclasses.replace(UNET, unet_depth=3), dtype=jnp.bfloat16),
        *(
            resnet_generator.ResNetGenerator(dataclasses.replace(RESNET, resnet_upsampling=name), channels)
            for name, channels in zip(resnet_generator.UPSAMPLINGS, (1, 3, 3), strict=True)
        ),
        resnet_generator.ResNetGenerator(RESNET, dtype=jnp.bfloat16),
    ],
    ids=lambda module: type(module).__name__,
)
def test_generators_keep_the_size_of_any_image(module):
    out = shape_of(module, (2, 16, 24, 3))
    assert out.shape == (2, 16, 24, module.channels) and out.dtype == jnp.float32
    height = 2 * module.stride
    assert shape_of(module, (1, height, 5 * module.stride, 3)).shape == (1, height, 5 * module.stride, module.channels)


@pytest.mark.parametrize(
    ("module", "size", "field"),
    [
        (unet.UNet(UNET), (8, 10), "unet_depth"),
        (unet.UNet(unet.Config(unet_depth=4)), (24, 16), "unet_depth"),
        (unet.UNet(UNET), (4, 4), "unet_depth"),
        (patchgan.PatchGAN(dataclasses.replace(CRITIC, critic_layers=3)), (8, 8), "critic_layers"),
        (resnet_generator.ResNetGenerator(RESNET), (8, 10), "image_size"),
        (resnet_generator.ResNetGenerator(RESNET), (4, 8), "image_size"),
        (resnet_generator.ResNetGenerator(resnet_generator.Config(resnet_kernel_size=17)), (8, 16), "image_size"),
        (resnet_generator.ResNetGenerator(resnet_generator.Config(resnet_kernel_size=4)), (8, 8), "resnet_kernel_size"),
    ],
    ids=str,
)
def test_sizes_that_a_network_can_t_process_are_refused(module, size, field):
    with pytest.raises(ConfigError) as error:
        shape_of(module, (1, *size, 3))
    assert error.value.field == field


@pytest.mark.parametrize(
    "module", [unet.UNet(UNET), resnet_generator.ResNetGenerator(RESNET), patchgan.PatchGAN(CRITIC)]
)
def test_single_images_are_refused(module):
    with pytest.raises(AssertionError):
        shape_of(module, (8, 8, 3))


def test_both_paths_of_the_unet_reach_its_output():
    module = unet.UNet(dataclasses.replace(UNET, unet_norm="none", unet_slope=0.2))
    params = variables(module, IMAGES)["params"]

    @jax.jit
    def sensitivity(params):
        return jax.grad(lambda images: module.apply({"params": params}, images, train=False).sum())(IMAGES)

    def without(kernel, rows):
        """Returns the parameters without the convolution's weights for some of its inputs."""
        zero = params[kernel]["kernel"].at[:, :, rows].set(0.0)
        return params | {kernel: params[kernel] | {"kernel": zero}}

    params = jax.tree.map(jnp.asarray, params)
    inner, skip = slice(0, 2), slice(2, 4)  # the last convolution's inputs: from the way up, and from `down_0`
    only_skip = sensitivity(without("up_0", inner))
    only_inner = sensitivity(without("up_0", skip))
    assert np.abs(only_skip).max() > 1e-3 and np.abs(only_inner).max() > 1e-3
    assert not np.allclose(only_skip, only_inner)
    np.testing.assert_array_equal(sensitivity(without("up_0", slice(0, 4))), 0.0)


def test_dropout_follows_the_first_three_convolutions_on_the_way_up():
    for depth, widths in ((8, [16, 16, 16]), (5, [16, 8, 4])):
        image = np.zeros((1, 2**depth, 2**depth, 3), np.float32)
        module = unet.UNet(unet.Config(**unet.PIX2PIX | {"unet_depth": depth, "unet_filters": 2}))
        assert dropped_widths(module, variables(module, image), image) == widths


def test_dropout_is_off_outside_training():
    module = resnet_generator.ResNetGenerator(dataclasses.replace(RESNET, resnet_dropout_rate=0.5))
    params = variables(module, IMAGES)

    @partial(jax.jit, static_argnums=0)
    def apply(train, key):
        return module.apply(params, IMAGES, train=train, rngs={"dropout": key})

    one, other = (apply(True, jax.random.key(seed)) for seed in (1, 2))
    assert not np.allclose(one, other)
    np.testing.assert_array_equal(apply(False, jax.random.key(1)), apply(False, jax.random.key(2)))
    assert np.abs(apply(False, jax.random.key(1))).max() < 1


@pytest.mark.parametrize(("layers", "side"), [(0, 1), (1, 16), (2, 34), (3, 70)])
def test_a_score_sees_a_patch_of_the_image(layers, side):
    """All kernels are 1, so that every pixel of the patch has a positive gradient."""
    module = patchgan.PatchGAN(patchgan.Config(critic_filters=1, critic_layers=layers, critic_norm="none"))
    size = 12 * 2**layers
    image = np.ones((1, size, size, 1), np.float32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), image, train=False))
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)

    @jax.jit
    def gradient(image):
        return jax.grad(lambda image: jnp.log(module.apply(ones, image, train=False)[0, 6, 6]))(image)

    seen = np.asarray(gradient(image))[0, :, :, 0] > 0
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    assert len(rows) == len(columns) == side and seen.sum() == side**2
    assert rows[0] == columns[0] <= 6 * 2**layers <= rows[-1] == rows[0] + side - 1


@pytest.mark.parametrize(
    ("layers", "size", "scores"),
    [(3, (128, 128), (16, 16)), (2, (30, 20), (8, 5)), (0, (9, 7), (9, 7)), (5, (64, 96), (2, 3))],
)
def test_number_of_scores(layers, size, scores):
    module = patchgan.PatchGAN(patchgan.Config(critic_layers=layers), dtype=jnp.bfloat16)
    out = shape_of(module, (2, *size, 3))
    assert out.shape == (2, *scores) and out.dtype == jnp.float32


def test_scores_depend_on_the_condition():
    module = patchgan.PatchGAN(CRITIC)
    condition = IMAGES[::-1, ::-1, :, :1]
    both = np.concatenate([IMAGES, condition], axis=-1)
    params = variables(module, both)
    apply = jax.jit(partial(module.apply, train=False))
    np.testing.assert_allclose(apply(params, IMAGES, condition), apply(params, both), rtol=1e-5)
    assert not np.allclose(apply(params, IMAGES, condition), apply(params, IMAGES, -condition))
    with pytest.raises(AssertionError):
        shape_of(module, (2, 8, 8, 3), (2, 8, 4, 3))


@pytest.mark.parametrize(
    ("identity", "joint", "train"), [(True, True, False), (False, True, False), (True, False, True)]
)
def test_translators_are_two_copies_of_the_network(identity, joint, train):
    """With running statistics, or those of one domain's batch; outputs are named by the domain that they are in."""
    network = unet.UNet(unet.Config(unet_filters=3, unet_depth=2, unet_norm="batch", unet_slope=0.2))
    module = cyclegan.Translators(network, identity=identity, joint=joint)
    domains = {"a": IMAGES, "b": IMAGES[::-1] ** 2}
    of_both = variables(module, domains)
    assert jax.tree.leaves(of_both["params"])[0].shape[0] == 2 and of_both["batch_stats"]

    def apply(own, images):
        return network.apply(own, images, train=train, mutable=["batch_stats"])[0]

    @jax.jit
    def expected(of_both, domains):
        to_b, to_a = (partial(apply, cyclegan.one_of(of_both, direction)) for direction in ("AtoB", "BtoA"))
        fake_a, fake_b = to_a(domains["b"]), to_b(domains["a"])
        outputs = {"fake_a": fake_a, "fake_b": fake_b, "cycle_a": to_a(fake_b), "cycle_b": to_b(fake_a)}
        return outputs | ({"identity_a": to_a(domains["a"]), "identity_b": to_b(domains["b"])} if identity else {})

    outputs, _ = jax.jit(partial(module.apply, train=train, mutable=["batch_stats"]))(of_both, domains)
    alone = expected(of_both, domains)
    assert outputs.keys() == alone.keys()
    for name, images in outputs.items():
        np.testing.assert_allclose(images, alone[name], rtol=1e-4, atol=1e-4, err_msg=name)
        assert all(np.abs(images - outputs[other]).max() > 0.1 for other in outputs if other != name)


def test_critics_are_two_copies_of_the_network():
    network = patchgan.PatchGAN(CRITIC)
    module, domains = cyclegan.Critics(network), {"a": IMAGES, "b": IMAGES}
    of_both = variables(module, domains)
    scores = jax.jit(partial(module.apply, train=False))(of_both, domains)
    alone = jax.jit(partial(network.apply, train=False))
    for index, domain in enumerate("ab"):
        params = {"params": jax.tree.map(lambda leaf, index=index: leaf[index], of_both["params"]["network"])}
        np.testing.assert_allclose(scores[domain], alone(params, IMAGES), rtol=1e-4, atol=1e-5)
    assert not np.allclose(scores["a"], scores["b"])


def test_both_copies_start_from_different_parameters():
    module = cyclegan.Translators(unet.UNet(UNET))
    images = jnp.zeros((1, 8, 8, 3))
    params = jax.jit(module.init, static_argnames="train")(
        jax.random.key(0, impl="unsafe_rbg"), {"a": images, "b": images}, train=False
    )["params"]
    kernel = params["network"]["down_0"]["kernel"]
    assert kernel.shape == (2, 4, 4, 3, 2) and not np.allclose(kernel[0], kernel[1])


def test_domains_of_different_shapes_are_refused():
    with pytest.raises(AssertionError):
        module = cyclegan.Translators(unet.UNet(UNET))
        shapes = {
            "a": jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32),
            "b": jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32),
        }
        jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), shapes)


@pytest.mark.parametrize(
    ("module", "size", "field"),
    [
        (unet.UNet(unet.Config(unet_depth=3)), 8, "unet_depth"),
        (patchgan.PatchGAN(patchgan.Config(critic_layers=3)), 8, "critic_layers"),
    ],
)
def test_normalised_features_of_one_position_are_refused(module, size, field):
    with pytest.raises(ConfigError) as error:
        jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, size, size, 3)), train=False))
    assert error.value.field == field


def test_the_slope_lets_negative_features_through_on_the_way_down():
    """Without it, kernels after features that are all negative have no gradient."""
    image = jnp.ones((1, 8, 8, 3))

    def gradient(slope):
        config = unet.Config(unet_filters=2, unet_depth=2, unet_norm="none", unet_slope=slope)
        params = variables(unet.UNet(config), image)["params"]
        params["down_0"] = {"kernel": jnp.zeros((4, 4, 3, 2)), "bias": -jnp.ones(2)}

        def total(kernel):
            changed = params | {"down_1": {"kernel": kernel, "bias": jnp.ones(4)}}
            return unet.UNet(config).apply({"params": changed}, image, train=False).sum()

        return float(jnp.abs(jax.grad(total)(params["down_1"]["kernel"])).sum())

    assert gradient(0.0) == 0 and gradient(0.2) > 1e-4
