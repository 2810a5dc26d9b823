"""Parameter counts of the networks of chapters 2 to 5 against the book's notebooks and the papers' code."""

import jax
import jax.numpy as jnp
import pytest

from experiments import cyclegan, gan, pix2pix, wgan, wgan_gp
from gdl_jax.models import autoencoder, cnn, dcgan, mlp, patchgan, resnet_generator, unet

FACES = autoencoder.Config(
    encoder_strides=(2, 2, 2, 2),
    decoder_filters=(64, 64, 32, 3),
    decoder_strides=(2, 2, 2, 2),
    z_dim=200,
    use_batch_norm=True,
    dropout_rate=0.25,
)
DIGITS = autoencoder.Config()
CAMEL, HORSES, FACES_64 = gan.PRESETS["camel"], wgan.PRESETS["horses"], wgan_gp.PRESETS["faces"]
CIFAR, MNIST, CELEBA = (32, 32, 3), (28, 28, 1), (128, 128, 3)
IMAGE, PAIR = (256, 256, 3), (256, 256, 6)  # a pair: the critic's image and the one on which it is conditioned


def resnet(**options):
    return resnet_generator.ResNetGenerator(resnet_generator.Config(**options))


def pix2pix_unet(**options):
    return unet.UNet(unet.Config(**unet.PIX2PIX | options))


def patch_gan(**options):
    return patchgan.PatchGAN(patchgan.Config(**options))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(module, *shapes_of_inputs):
    """Returns the shapes of a module's variables, for one example of each input."""
    inputs = [jax.ShapeDtypeStruct((1, *shape), jnp.float32) for shape in shapes_of_inputs]
    return jax.eval_shape(lambda *x: module.init(jax.random.key(0), *x, train=False), *inputs)


@pytest.mark.parametrize(
    ("module", "shape", "trainable", "running"),
    [
        pytest.param(mlp.MLP(mlp.Config(), 10), CIFAR, 646_260, 0, id="mlp"),
        pytest.param(cnn.CNN(cnn.SMALL, 10), CIFAR, 15_120, 0, id="small_cnn"),
        pytest.param(cnn.CNN(cnn.Config(), 10), CIFAR, 591_914, 640, id="cnn"),
        pytest.param(autoencoder.Encoder(DIGITS), MNIST, 98_946, 0, id="autoencoder-encoder"),
        pytest.param(autoencoder.GaussianEncoder(DIGITS), MNIST, 105_220, 0, id="vae-digits-encoder"),
        pytest.param(autoencoder.Decoder(DIGITS, MNIST), (2,), 102_017, 0, id="digits-decoder"),
        pytest.param(autoencoder.GaussianEncoder(FACES), CELEBA, 1_732_496, 448, id="vae-faces-encoder"),
        pytest.param(dcgan.Critic(CAMEL), MNIST, 720_833, 0, id="gan-critic"),
        pytest.param(dcgan.Generator(CAMEL, MNIST), (100,), 837_377, 6_784, id="gan-generator"),
        pytest.param(dcgan.Critic(HORSES), CIFAR, 670_401, 0, id="wgan-critic"),
        pytest.param(dcgan.Generator(HORSES, CIFAR), (100,), 879_619, 4_544, id="wgan-generator"),
        pytest.param(dcgan.Critic(FACES_64), (64, 64, 3), 4_314_753, 0, id="wgan-gp-critic"),
        pytest.param(dcgan.Generator(FACES_64, (64, 64, 3)), (100,), 5_150_723, 17_280, id="wgan-gp-generator"),
        pytest.param(autoencoder.Decoder(FACES, CELEBA), (200,), 916_803, 320, id="vae-faces-decoder"),
        pytest.param(unet.UNet(unet.Config()), CELEBA, 1_545_411, 0, id="cyclegan-unet"),
        pytest.param(resnet(), IMAGE, 2_850_563, 0, id="cyclegan-resnet"),
        pytest.param(resnet(resnet_filters=64), IMAGE, 11_378_179, 0, id="cyclegan-paper-resnet"),
        pytest.param(resnet(resnet_blocks=6), CELEBA, 1_965_059, 0, id="cyclegan-resnet-6"),
        pytest.param(resnet(resnet_blocks=6, resnet_filters=64), CELEBA, 7_837_699, 0, id="cyclegan-paper-resnet-6"),
        pytest.param(resnet(**resnet_generator.FAST_STYLE), IMAGE, 1_679_235, 0, id="fast-style"),
        pytest.param(patch_gan(), CELEBA, 694_241, 0, id="cyclegan-critic"),
        pytest.param(patch_gan(critic_filters=64), IMAGE, 2_764_737, 0, id="cyclegan-paper-critic"),
        pytest.param(
            patch_gan(critic_filters=64, critic_norm="batch"), PAIR, 2_768_705, 1_792, id="pix2pix-batch-norm-critic"
        ),
        pytest.param(pix2pix_unet(), IMAGE, 54_413_955, 0, id="pix2pix-unet-8"),
        pytest.param(pix2pix_unet(unet_filters=32, unet_depth=7), IMAGE, 10_461_507, 0, id="pix2pix-unet-7"),
        pytest.param(pix2pix_unet(unet_filters=32, unet_depth=6), IMAGE, 7_314_755, 0, id="pix2pix-unet-6"),
        pytest.param(pix2pix_unet(unet_filters=32, unet_depth=5), IMAGE, 4_168_003, 0, id="pix2pix-unet-5"),
    ],
)
def test_parameter_count(module, shape, trainable, running):
    variables = shapes(module, shape)
    assert count(variables["params"]) == trainable
    assert count(variables.get("batch_stats", {})) == running


@pytest.mark.parametrize(
    ("experiment", "preset", "counts"),
    [
        (cyclegan, "apples", {"generator_a_to_b": 1_545_411, "critic_a": 694_241, "total": 4_479_304}),
        (cyclegan, "monet", {"generator_b_to_a": 2_850_563, "critic_b": 2_764_737, "total": 11_230_600}),
        (pix2pix, "paper", {"generator": 54_413_955, "critic": 2_768_705, "total": 57_182_660}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_parameter_counts_of_translation(experiment, preset, counts):
    config = experiment.PRESETS[preset]
    networks = experiment.networks(config, experiment.EXPERIMENT.spec(config))
    of_each = {
        name: count(shapes(module, *(image.shape[1:] for image in images))["params"])
        for name, (module, images) in networks.items()
    }
    found = of_each | {"total": sum(of_each.values())}
    assert counts == {name: found[name] for name in counts}
