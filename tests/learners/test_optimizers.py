import numpy as np
import optax
import pytest

from gdl_jax.core.errors import UserError
from gdl_jax.learners.optimizers import make_optimizer

RATE, EPSILON = 0.01, 1e-7
GRADIENTS = np.random.default_rng(0).normal(size=(6, 4)) * [1.0, 1e-2, 1e-6, 1e-7]  # the last where epsilon matters


def adam(w, gradients):
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + EPSILON)
    return w


def rmsprop(w, gradients):
    a = 0.0
    for g in gradients:
        a = 0.9 * a + 0.1 * g**2
        w = w - RATE * g / (np.sqrt(a) + EPSILON)
    return w


def sgd(w, gradients):
    return w - RATE * gradients.sum(0)


@pytest.mark.parametrize("reference", [adam, rmsprop, sgd])
def test_updates_follow_the_published_equations(reference):
    w = np.zeros(4)
    params = w.astype(np.float32)
    optimizer = make_optimizer(reference.__name__, RATE)
    state = optimizer.init(params)
    for gradient in GRADIENTS.astype(np.float32):
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, reference(w, GRADIENTS), rtol=1e-3)


def test_one_s_own_optimizer_by_name():
    optimizer = make_optimizer("optax:sgd", 0.5)
    updates, _ = optimizer.update(np.ones(2, np.float32), optimizer.init(np.ones(2)))
    np.testing.assert_allclose(updates, -0.5)


@pytest.mark.parametrize(
    ("name", "rate", "flag"), [("adamant", 0.1, "--optimizer=adamant"), ("adam", 0.0, "--learning_rate=0.0")]
)
def test_a_bad_flag_is_named(name, rate, flag):
    with pytest.raises(UserError, match=flag):
        make_optimizer(name, rate)
