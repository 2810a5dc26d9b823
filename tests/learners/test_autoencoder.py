import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gdl_jax.learners.autoencoder import autoencoder, decode, encode
from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.losses.reconstruction import mse
from gdl_jax.models.autoencoder import Decoder, Encoder
from tests.learners.digits import CONFIG, digits, first_state, fit, mean_of


class Scaled(nn.Module):
    """x -> scale * x, with an initial scale of 1."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return self.param("scale", nn.initializers.ones, ()) * x


@pytest.mark.slow
def test_two_dimensions_beat_the_best_constant_image():
    train, test = digits()
    learner = autoencoder(Encoder(CONFIG), Decoder(CONFIG, (28, 28, 1)), OPTIMIZERS["adam"](3e-3), mse)
    state, _ = fit(learner, train, steps=400)
    best_constant = np.mean((test["image"] - test["image"].mean(0)) ** 2)
    assert mean_of(learner, state, test)["loss"] < 0.9 * best_constant


@pytest.mark.slow
def test_noise_is_on_the_input_only():
    images = np.full((64, 8, 8, 1), 0.5, np.float32)
    for noise in (0.0, 0.3):
        learner = autoencoder(Scaled(), Scaled(), OPTIMIZERS["sgd"](1.0), mse, noise=noise)
        state = first_state(learner, {"image": images})
        # An identity's error is the noise; with a noisy target it would be 0.
        _, metrics = learner.step(state, {"image": images}, jax.random.key(0))
        assert float(metrics["loss"]) == pytest.approx(noise**2, rel=0.1)
        assert mean_of(learner, state, {"image": images})["loss"] == pytest.approx(noise**2, rel=0.1)


def test_encode_and_decode_use_their_own_parameters():
    learner = autoencoder(Scaled(), Scaled(), OPTIMIZERS["sgd"](1.0), mse)
    images = jnp.ones((2, 3, 3, 1))
    state = first_state(learner, {"image": images})
    state = state.replace(params={"encoder": {"scale": jnp.float32(3)}, "decoder": {"scale": jnp.float32(5)}})
    assert float(encode(Scaled(), state, images)[0, 0, 0, 0]) == 3
    assert float(decode(Scaled(), state, images)[0, 0, 0, 0]) == 5


def test_samples_are_uniform_in_the_box():
    learner = autoencoder(Scaled(), Scaled(), OPTIMIZERS["sgd"](1.0), mse)
    state = first_state(learner, {"image": jnp.ones((2, 2))})
    low, high = np.array([-3.0, 10.0]), np.array([-1.0, 30.0])
    codes = np.asarray(learner.sample(state, jax.random.key(0), 4000, low, high))
    assert codes.shape == (4000, 2) and (codes >= low).all() and (codes <= high).all()
    np.testing.assert_allclose(codes.mean(0), (low + high) / 2, atol=0.5)
    np.testing.assert_allclose(codes.std(0), (high - low) / np.sqrt(12), rtol=0.05)
