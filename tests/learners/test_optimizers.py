"""Optimisers and schedules against their published equations."""

import dataclasses
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gdl_jax.core import config_flags
from gdl_jax.core.errors import ConfigError
from gdl_jax.learners.optimizers import OptimizerConfig, learning_rate_schedule, make_optimizer

RATE, EPSILON = 0.01, 1e-7
GRADIENTS = np.random.default_rng(0).normal(size=(6, 4)) * [1.0, 1e-2, 1e-6, 1e-7]  # in the last column epsilon matters


@dataclass(frozen=True, kw_only=True)
class Config(OptimizerConfig):
    learning_rate: float = RATE
    steps: int = 100
    batch_size: int = 12
    parallel: str = "jit"

    def __post_init__(self):
        config_flags.check(self)


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


def updated(config, params, gradients):
    """Returns the parameters after one update per gradient."""
    optimizer = make_optimizer(config)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("reference", [adam, rmsprop, sgd])
def test_updates_follow_the_published_equations(reference):
    params = updated(Config(optimizer=reference.__name__), np.zeros(4, np.float32), GRADIENTS.astype(np.float32))
    np.testing.assert_allclose(params, reference(np.zeros(4), GRADIENTS), rtol=1e-3)


def test_custom_optimizer_by_name():
    params = updated(Config(optimizer="optax:sgd", learning_rate=0.5), np.ones(2), [np.ones(2, np.float32)])
    np.testing.assert_allclose(params, 0.5)


def test_bad_optimizers_and_schedules_are_refused_by_flag():
    for name in ("adamant", "math:sin"):
        with pytest.raises(ConfigError, match=f"^optimizer={name}: "):
            make_optimizer(Config(optimizer=name))
    with pytest.raises(ConfigError, match=r"^learning_rate=0\.0: "):
        Config(learning_rate=0.0)
    with pytest.raises(ConfigError, match=r"^warmup_steps=5: "):
        make_optimizer(Config(schedule="linear", warmup_steps=5, decay_steps=5))
    with pytest.raises(ConfigError, match=r"^schedule=piecewise: "):
        make_optimizer(Config(schedule="piecewise"))
    with pytest.raises(ConfigError, match=r"^accumulate=5: "):
        make_optimizer(Config(accumulate=5))


def rates(steps=(0, 1, 4, 5, 10, 30, 55, 80, 100, 200), **options):
    config = Config(learning_rate=2.0, **options)
    schedule = learning_rate_schedule(config, 2.0, config.steps)
    return dict(zip(steps, np.asarray([schedule(step) for step in steps], np.float64), strict=True))


def test_schedules_follow_their_equations():
    assert set(rates().values()) == {2.0}
    for t, rate in rates(schedule="linear", final_learning_rate=0.1).items():
        np.testing.assert_allclose(rate, 2 * (1 - 0.9 * min(t / 100, 1)), rtol=1e-5)
    for t, rate in rates(schedule="cosine", decay_steps=50, final_learning_rate=0.2).items():
        share = min(t / 50, 1)
        np.testing.assert_allclose(rate, 2 * (0.2 + 0.8 * (1 + np.cos(np.pi * share)) / 2), rtol=1e-5)
    for t, rate in rates(schedule="piecewise", decay_at=(10, 80), decay_factor=0.5).items():
        np.testing.assert_allclose(rate, 2 * 0.5 ** sum(t >= at for at in (10, 80)), rtol=1e-6)
    for t, rate in rates(schedule="inverse_sqrt", warmup_steps=10).items():
        np.testing.assert_allclose(rate, 2 * min((t + 1) / 10, 1) * np.sqrt(10 / max(t, 10)), rtol=1e-6)


def test_schedules_stay_at_their_peak_for_a_fraction_of_the_updates():
    """CycleGAN's and pix2pix's schedule: constant for half of the updates, then linear to 0."""
    for t, rate in rates(schedule="linear", constant_fraction=0.5).items():
        np.testing.assert_allclose(rate, 2 * np.clip((100 - t) / 50, 0, 1), rtol=1e-5, atol=1e-6)
    options = {"warmup_steps": 20, "decay_steps": 80, "final_learning_rate": 0.1, "constant_fraction": 0.25}
    for t, rate in rates((0, 9, 20, 34, 35, 50, 65, 79, 80, 99), schedule="linear", **options).items():
        share = np.clip((t - 35) / 45, 0, 1)  # constant for a quarter of the 60 updates after the warm-up
        np.testing.assert_allclose(rate, 2 * min((t + 1) / 20, 1) * (1 - 0.9 * share), rtol=1e-5)
    for t, rate in rates(schedule="cosine", constant_fraction=0.3).items():
        np.testing.assert_allclose(rate, 1 + np.cos(np.pi * np.clip((t - 30) / 70, 0, 1)), rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match=r"^constant_fraction=1\.0: "):
        Config(schedule="linear", constant_fraction=1.0)


def test_warm_up_rises_linearly():
    with_warmup = rates(steps=range(6), warmup_steps=4)
    np.testing.assert_allclose(list(with_warmup.values()), [0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    params = updated(Config(optimizer="sgd", warmup_steps=4), np.zeros(1), [np.ones(1, np.float32)] * 6)
    np.testing.assert_allclose(params, -RATE * sum(with_warmup.values()) / 2.0, rtol=1e-6)


@pytest.mark.slow
def test_weight_decay_is_decoupled_and_spares_biases_and_norms():
    params = {
        "Dense_0": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, 2.0)},
        "BatchNorm_0": {"scale": jnp.full(3, 2.0)},
        "tracks": {"bias": jnp.full((4, 3), 2.0), "embedding": jnp.full((4, 3), 2.0)},
    }
    zeros = [{name: {n: jnp.zeros_like(x) for n, x in each.items()} for name, each in params.items()}] * 2
    after = updated(Config(optimizer="adam", weight_decay=0.1), params, zeros)
    decayed = 2.0 * (1 - RATE * 0.1) ** 2
    np.testing.assert_allclose(after["Dense_0"]["kernel"], decayed, rtol=1e-6)
    np.testing.assert_allclose(after["tracks"]["embedding"], decayed, rtol=1e-6)
    for kept in (after["Dense_0"]["bias"], after["BatchNorm_0"]["scale"], after["tracks"]["bias"]):
        np.testing.assert_array_equal(kept, 2.0)


def test_gradients_are_clipped_by_their_global_norm():
    gradient = {"a": np.array([3.0], np.float32), "b": np.array([4.0], np.float32)}
    params = {"a": np.zeros(1), "b": np.zeros(1)}
    config = Config(optimizer="sgd", learning_rate=1.0)
    clipped = updated(dataclasses.replace(config, clip_norm=1.0), params, [gradient])
    np.testing.assert_allclose([clipped["a"][0], clipped["b"][0]], [-0.6, -0.8], rtol=1e-6)
    assert updated(dataclasses.replace(config, clip_norm=6.0), params, [gradient])["b"] == -4.0
