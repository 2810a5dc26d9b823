"""Adversarial losses against their formulas in terms of probabilities, in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.losses import adversarial as losses

SCORES = np.array([-30.0, -2.0, -0.3, 0.0, 0.7, 3.0, 30.0])
D = 1 / (1 + np.exp(-SCORES))
FORMULAS = {  # name -> (real, fake, generator)
    "bce": (-np.log(D), np.logaddexp(0, SCORES), -np.log(D)),
    "least_squares": ((SCORES - 1) ** 2 / 2, SCORES**2 / 2, (SCORES - 1) ** 2 / 2),
    "cyclegan": ((SCORES - 1) ** 2 / 2, SCORES**2 / 2, (SCORES - 1) ** 2),
    "wasserstein": (-SCORES, SCORES, -SCORES),
    "hinge": (np.maximum(0, 1 - SCORES), np.maximum(0, 1 + SCORES), -SCORES),
}


@pytest.mark.parametrize("name", losses.ADVERSARIAL_LOSSES)
def test_losses_match_their_formulas(name):
    loss, scores = losses.ADVERSARIAL_LOSSES[name], jnp.asarray(SCORES, jnp.float32)
    values = (loss.real(scores), loss.fake(scores), loss.generator(scores))
    chex.assert_trees_all_close(values, FORMULAS[name], rtol=1e-5, atol=1e-6)


def test_gan_loss_gradient_at_extreme_scores():
    gradient = jax.grad(lambda s: losses.BCE.generator(s).sum())(jnp.array([-200.0, 200.0]))
    np.testing.assert_allclose(gradient, [-1, 0], atol=1e-6)


@pytest.mark.parametrize("name", ["bce", "least_squares", "hinge"])
def test_losses_of_real_and_fake_are_equal_at_the_boundary(name):
    loss = losses.ADVERSARIAL_LOSSES[name]
    boundary = jnp.array([loss.boundary])
    np.testing.assert_allclose(loss.real(boundary), loss.fake(boundary), rtol=1e-6)


def test_interpolates_use_one_alpha_per_example():
    real, fake = np.zeros((3, 2, 2, 1), np.float32), np.ones((3, 2, 2, 1), np.float32)
    points = losses.interpolate(real, fake, jnp.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(points[:, :, :, 0], np.array([1, 0.75, 0])[:, None, None] * np.ones((3, 2, 2)))


def test_norm_per_example_has_a_finite_gradient_at_zero():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(4, 3, 5)).astype(np.float32)
    expected = np.linalg.norm(gradients.reshape(4, -1), axis=1)
    np.testing.assert_allclose(losses.example_norm(gradients), expected, rtol=1e-6)
    assert np.isfinite(jax.grad(lambda g: losses.example_norm(g).sum())(jnp.zeros((2, 3)))).all()


def test_penalty_is_the_squared_distance_from_the_center():
    np.testing.assert_allclose(losses.gradient_penalty(jnp.array([0.5, 1, 3])), [0.25, 0, 4])
    np.testing.assert_allclose(losses.gradient_penalty(jnp.array([0.5, 1, 3]), 0.0), [0.25, 1, 9])


def test_interpolates_of_a_tree():
    rng = np.random.default_rng(1)
    real, fake = ({"a": rng.normal(size=(3, 2)), "b": rng.normal(size=(3, 4, 1))} for _ in range(2))
    alpha = jnp.array([0.2, 0.5, 1.0])
    leaves = {name: losses.interpolate(real[name], fake[name], alpha) for name in real}
    chex.assert_trees_all_close(losses.interpolate(real, fake, alpha), leaves)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (losses.interpolate, [(3, 2), (3, 1), (3,)]),  # images of two shapes
        (losses.interpolate, [(3, 2), (3, 2), (2,)]),
        (losses.interpolate, [(3, 2), (3, 2), (3, 1)]),
        (lambda *leaves: losses.example_norm(leaves), [(3, 2), (2, 2)]),  # leaves of two batch sizes
        (losses.gradient_penalty, [(3, 1)]),
    ],
)
def test_wrong_shapes_are_refused(function, shapes):
    with pytest.raises(AssertionError):
        function(*map(jnp.ones, shapes))
