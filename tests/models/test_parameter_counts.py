"""Parameter counts of all networks of chapters 2, 3 and 4 against the book's notebooks."""

import jax
import jax.numpy as jnp
import pytest

from experiments import gan, wgan, wgan_gp
from gdl_jax.models import autoencoder, cnn, dcgan, mlp

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
    ],
)
def test_parameter_count(module, shape, trainable, running):
    def count(tree):
        return sum(leaf.size for leaf in jax.tree.leaves(tree))

    inputs = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False), inputs)
    assert count(variables["params"]) == trainable
    assert count(variables.get("batch_stats", {})) == running
