"""The peers' translation networks and updates, against ours and against the losses' equations."""

import os

import jax
import numpy as np
import pytest

from gdl_jax.models import patchgan, unet

CRITIC = ["conv_0", "conv_1", "conv_2", "conv_3", "scores"]
PIX2PIX = unet.PIX2PIX | {"unet_filters": 32, "unet_depth": 7}


def unet_names(depth):
    """Names of our U-Net's convolutions in the order of the forward pass."""
    return [f"down_{level}" for level in range(depth)] + [f"up_{level}" for level in reversed(range(depth))]


# name -> (our network, its convolutions, input channels, number of parameters)
NETWORKS = {
    "book_unet": (unet.UNet(unet.Config()), unet_names(4), 3, 1_545_411),
    "pix2pix_unet": (unet.UNet(unet.Config(**PIX2PIX)), unet_names(7), 3, 10_461_507),
    "book_critic": (patchgan.PatchGAN(patchgan.Config()), CRITIC, 3, 694_241),
    "pix2pix_critic": (patchgan.PatchGAN(patchgan.Config(critic_norm="affine_instance")), CRITIC, 6, 696_225),
}


def build(peers, name):
    if name.endswith("critic"):
        return peers.patch_gan(NETWORKS[name][2], name.startswith("pix2pix"))
    return getattr(peers, name)()


def ours(name):
    """Our network's convolutions and norms with random values in order, an image, and the network's output for it."""
    network, names, channels, _ = NETWORKS[name]
    image = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, channels)).astype(np.float32)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), image, train=False))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: rng.normal(0.05, 0.05, leaf.shape).astype(np.float32), shapes)
    output = jax.jit(lambda params: network.apply({"params": params}, image, train=False))(params)
    norms = [params[f"InstanceNorm_{i}"] for i in range(len(params) - len(names))]
    return [(layer, params[layer]) for layer in names], norms, image, np.asarray(output)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_s_networks_compute_what_ours_do(torch, name):
    from experiments.bench.peers import torch_translation

    network = build(torch_translation, name)
    assert sum(parameter.numel() for parameter in network.parameters()) == NETWORKS[name][3]
    convolutions, norms, image, expected = ours(name)
    kinds = torch.nn.Conv2d, torch.nn.ConvTranspose2d
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        for layer, (_, values) in zip(layers, convolutions, strict=True):
            axes = (3, 2, 0, 1) if isinstance(layer, torch.nn.Conv2d) else (2, 3, 0, 1)
            layer.weight.copy_(torch.from_numpy(values["kernel"].transpose(axes)))
            if "bias" in values:
                layer.bias.copy_(torch.from_numpy(values["bias"]))
        for layer, values in zip(
            [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)], norms, strict=True
        ):
            layer.weight.copy_(torch.from_numpy(values["scale"]))
            layer.bias.copy_(torch.from_numpy(values["bias"]))
        for layer in network.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.eval()
        output = network(torch.from_numpy(image.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(output.reshape(expected.shape), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_networks_compute_what_ours_do(keras, name):
    from experiments.bench.peers import keras_translation

    network = build(keras_translation, name)
    assert sum(weights.size for weights in map(np.asarray, network.trainable_weights)) == NETWORKS[name][3]
    convolutions, norms, image, expected = ours(name)

    def in_creation_order(kind):  # layers of a kind are numbered in this order
        layers = [layer for layer in network.layers if type(layer) is kind]
        return sorted(layers, key=lambda layer: (len(layer.name), layer.name))

    layers = in_creation_order(keras.layers.Conv2D) + in_creation_order(keras.layers.Conv2DTranspose)
    for layer, (_, values) in zip(layers, convolutions, strict=True):
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        kernel = values["kernel"].swapaxes(2, 3) if transposed else values["kernel"]
        layer.set_weights([kernel, values["bias"]] if "bias" in values else [kernel])
    for layer, values in zip(in_creation_order(keras.layers.BatchNormalization), norms, strict=True):
        layer.set_weights([values["scale"], values["bias"], *layer.get_weights()[2:]])
    for layer in in_creation_order(keras.layers.Dropout):
        layer.rate = 0.0
    output = np.asarray(network(image, training=True))
    np.testing.assert_allclose(output.reshape(expected.shape), expected, rtol=1e-3, atol=1e-3)


def softplus(x):
    return np.logaddexp(0.0, x).mean()


def cyclegan_losses(generators, critics, a, b):
    """Losses of generators and of critics by the book's weights (05_01), of images in [-1, 1]."""
    (a_to_b, b_to_a), (critic_a, critic_b) = generators, critics
    fake_a, fake_b = b_to_a(b), a_to_b(a)
    of_generators = ((critic_a(fake_a) - 1) ** 2).mean() + ((critic_b(fake_b) - 1) ** 2).mean()
    of_generators += 10 * (np.abs(b_to_a(fake_b) - a).mean() + np.abs(a_to_b(fake_a) - b).mean())
    of_generators += 2 * (np.abs(b_to_a(a) - a).mean() + np.abs(a_to_b(b) - b).mean())
    of_critics = ((critic_a(a) - 1) ** 2).mean() + (critic_a(fake_a) ** 2).mean()
    of_critics += ((critic_b(b) - 1) ** 2).mean() + (critic_b(fake_b) ** 2).mean()
    return of_generators, 0.5 * of_critics


def pix2pix_losses(generators, critics, a, b):
    """Losses of the generator and of the critic (Isola et al. 2017, equation 4; the critic's halved)."""
    (generator,), (critic,) = generators, critics
    fake = generator(a)
    on_fake, on_real = (critic(np.concatenate([a, image], axis=-1)) for image in (fake, b))
    return softplus(-on_fake) + 100 * np.abs(fake - b).mean(), 0.5 * (softplus(on_fake) + softplus(-on_real))


LOSSES = {"cyclegan": cyclegan_losses, "pix2pix": pix2pix_losses}


def images(size):
    rng = np.random.default_rng(2)
    return [rng.random((1, size, size, 3), np.float32) for _ in range(2)]


def check_first_update(before, after):
    """Adam's first update moves parameters by about the learning rate, or not at all without a gradient."""
    for old, new in zip(before, after, strict=True):
        assert 1.9e-4 < np.abs(new - old).max() < 2.1e-4


@pytest.mark.parametrize("name", LOSSES)
def test_pytorch_s_update_minimises_the_losses(torch, name):
    from experiments.bench.peers import torch_translation

    model = torch_translation.MODELS[name]()
    model.prepare()
    for layer in model.modules():
        layer.p = 0.0  # no dropout
    networks = [*model.children()]
    sides = networks[: len(networks) // 2], networks[len(networks) // 2 :]

    def apply(network):
        def applied(x):
            with torch.no_grad():
                return network(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)

        return applied

    def weights():
        return [parameter.detach().numpy().copy() for parameter in model.parameters() if parameter.ndim == 4]

    a, b = images({"cyclegan": 32, "pix2pix": 128}[name])
    before = weights()
    expected = LOSSES[name](*[[apply(network) for network in side] for side in sides], 2 * a - 1, 2 * b - 1)
    batch = [torch.from_numpy(x.transpose(0, 3, 1, 2)) for x in (a, b)]
    loss = model.step(*batch).item()
    # pix2pix's critic has already stepped when the generator's loss is computed
    assert loss == pytest.approx(expected[0], rel=1e-4 if name == "cyclegan" else 0.05)
    check_first_update(before, weights())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_keras_update_minimises_the_losses(keras, name):
    from experiments.bench.peers import keras_translation

    model = keras_translation.MODELS[name]()
    model.run_eagerly = True
    for network in (*model.generators, *model.critics):
        for layer in network.layers:
            layer.rate = 0.0  # no dropout

    def apply(network):
        return lambda x: np.asarray(network(x, training=True))

    def weights():
        return [np.array(kernel) for kernel in model.trainable_variables if kernel.ndim == 4]

    a, b = images(128)
    before = weights()
    sides = [[apply(network) for network in side] for side in (model.generators, model.critics)]
    expected = LOSSES[name](*sides, 2 * a - 1, 2 * b - 1)
    logs = model.train_on_batch(a, b, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(sum(expected), rel=1e-4)
    check_first_update(before, weights())
