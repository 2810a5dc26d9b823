import jax
import numpy as np
import pytest
from scipy import special

from gdl_jax.core.errors import UserError
from gdl_jax.learners.optimizers import OPTIMIZERS
from gdl_jax.learners.supervised import attribute_classifier, classifier
from gdl_jax.models import cnn, mlp
from tests.learners.digits import digits, first_state, fit, mean_of

ADAM = OPTIMIZERS["adam"](2e-3)
SMALL_CNN = cnn.Config(filters=(8, 16), kernel_sizes=(3, 3), strides=(2, 2), dense_units=32)


def test_one_step_of_softmax_regression_is_the_closed_form():
    batch = {name: array[:16] for name, array in digits()[0].items()}
    learner = classifier(mlp.MLP(mlp.Config(hidden_units=()), 10), OPTIMIZERS["sgd"](0.5))
    state = first_state(learner, batch)
    after, metrics = jax.jit(learner.step)(state, batch, jax.random.key(0))
    x, one_hot = batch["image"].reshape(16, -1).astype(np.float64), np.eye(10)[batch["label"]]
    w = np.asarray(state.params["Dense_0"]["kernel"], np.float64)
    p = special.softmax(x @ w, axis=1)
    by_kernel, by_bias = x.T @ (p - one_hot) / 16, (p - one_hot).mean(0)
    assert float(metrics["loss"]) == pytest.approx(-np.log((p * one_hot).sum(1)).mean(), rel=1e-4)
    assert float(metrics["accuracy"]) == pytest.approx((p.argmax(1) == batch["label"]).mean())
    norm = np.sqrt((by_kernel**2).sum() + (by_bias**2).sum())
    assert float(metrics["gradient_norm"]) == pytest.approx(norm, rel=1e-4)
    np.testing.assert_allclose(after.params["Dense_0"]["kernel"], w - 0.5 * by_kernel, atol=1e-5)
    np.testing.assert_allclose(after.params["Dense_0"]["bias"], -0.5 * by_bias, atol=1e-5)


@pytest.mark.slow
def test_a_small_cnn_learns_digits():
    train, test = digits()
    learner = classifier(cnn.CNN(SMALL_CNN, 10), ADAM)
    state, _ = fit(learner, train, steps=400)
    means = mean_of(learner, state, test)
    assert means["accuracy"] > 0.85 and means["loss"] < 0.8  # chance: 0.1 and 2.3
    running_mean = state.batch_stats["BatchNorm_0"]["mean"]
    assert np.abs(running_mean).max() > 0  # it was 0


@pytest.mark.slow
def test_a_small_mlp_learns_attributes():
    train, test = digits()
    learner = attribute_classifier(mlp.MLP(mlp.Config(hidden_units=(64,)), 3), ADAM)
    state, _ = fit(learner, train, steps=200)
    assert mean_of(learner, state, test)["accuracy"] > 0.8  # the more common value: about 0.53


def test_data_without_targets_are_refused():
    learner = attribute_classifier(mlp.MLP(mlp.Config(), 3), ADAM)
    with pytest.raises(UserError, match="attributes"):
        learner.init(jax.random.key(0), {"image": np.zeros((1, 4, 4, 1), np.float32)})
