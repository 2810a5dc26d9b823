import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gdl_jax.learners.fast_style import fast_style
from gdl_jax.losses.style import StyleWeights, gram_matrix
from tests.learners.test_style_transfer import features

WEIGHTS = StyleWeights({"second": 0.1}, {"first": 10.0, "second": 10.0}, 1e-8)


class Painter(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        del train
        return jnp.tanh(nn.Conv(3, (3, 3))(nn.relu(nn.Conv(8, (3, 3))(x))))


@pytest.fixture(scope="module")
def trained():
    styles = [jax.random.uniform(jax.random.key(i), (1, 12, 8 + 4 * i, 3)) ** 3 for i in range(2)]
    learner = fast_style(Painter(), features, WEIGHTS, optax.adam(1e-2), styles, shares=(0.25, 0.75))
    batch = {"image": jax.random.uniform(jax.random.key(9), (4, 8, 8, 3))}
    state, step, losses = jax.jit(learner.init)(jax.random.key(0), batch), jax.jit(learner.step), []
    grams = state.grams
    for _ in range(40):
        state, metrics = step(state, batch, jax.random.key(0))
        losses.append(float(metrics["loss"]))
    return learner, state, batch, styles, grams, losses


def test_a_trained_network_lowers_the_loss_of_all_images(trained):
    learner, state, batch, _, _, losses = trained
    values = learner.evaluate(state, batch, None)
    assert {name: value.shape for name, value in values.items()} == dict.fromkeys(values, (4,))
    assert float(values["loss"].mean()) == pytest.approx(losses[-1], rel=0.1)
    assert losses[-1] < 0.7 * losses[0]
    chex.assert_trees_all_close(
        values["loss"], values["content"] + values["style"] + values["total_variation"], rtol=1e-5
    )


def test_the_style_is_kept_in_the_state(trained):
    _, state, _, styles, grams, _ = trained
    chex.assert_trees_all_equal(state.grams, grams)
    expected = sum(s * gram_matrix(features(style)["first"]) for s, style in zip((0.25, 0.75), styles, strict=True))
    chex.assert_trees_all_close(grams["first"], expected, rtol=1e-5)


def test_samples_are_paintings_in_range(trained):
    learner, state, _, _, _, _ = trained
    images = np.random.default_rng(0).uniform(size=(3, 16, 12, 3)).astype(np.float32)
    painted = np.asarray(learner.sample(state, None, 2, images))
    assert painted.shape == (2, 16, 12, 3)
    assert painted.min() >= 0 and painted.max() <= 1
