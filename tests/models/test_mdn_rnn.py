"""Memory network against a NumPy restatement; parameter counts and dream steps."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.models.mdn_rnn import MDNRNN, Config, dream_along, dream_step, transition

SMALL = Config(z_dim=3, action_dim=2, hidden_units=4, mixtures=2, done_head=True)
B, T = 2, 5


def inputs(config, batch=B, steps=T):
    rng = np.random.default_rng(0)
    z, action = (rng.normal(size=(batch, steps, n)).astype(np.float32) for n in (config.z_dim, config.action_dim))
    reward = rng.integers(0, 2, (batch, steps)).astype(np.float32)
    carry = tuple(rng.normal(size=(2, batch, config.hidden_units)).astype(np.float32))
    return z, action, reward, carry


def variables(config):
    """Returns random variables of unit scale, biases included."""
    module, rng = MDNRNN(config), np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(config), train=False))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (Config(), 423_649),
        (Config(reward_input=False, reward_head=False), 422_368),
        (Config(done_head=True), 423_649 + 257),
    ],
    ids=["book", "paper", "done_head"],
)
def test_parameter_count(config, count):
    module = MDNRNN(config)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs(config), train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@pytest.mark.parametrize("reward_input", [True, False])
def test_matches_a_numpy_lstm_with_a_dense_layer(reward_input):
    config = dataclasses.replace(SMALL, reward_input=reward_input)
    z, action, reward, (h, c) = inputs(config)
    params = variables(config)["params"]
    predicted, hidden, carry = jax.jit(MDNRNN(config).apply)({"params": params}, z, action, reward, (h, c))
    for t in range(T):
        x = np.concatenate([z[:, t], action[:, t], *([reward[:, t, None]] if reward_input else [])], 1)
        gates = x @ params["lstm"]["kernel"] + h @ params["lstm"]["recurrent_kernel"] + params["lstm"]["bias"]
        i, f, g, o = np.split(gates, 4, axis=1)
        c = special.expit(f) * c + special.expit(i) * np.tanh(g)
        h = special.expit(o) * np.tanh(c)
        np.testing.assert_allclose(hidden[:, t], h, rtol=1e-4, atol=1e-5)
        out = h @ params["head"]["kernel"] + params["head"]["bias"]
        mixtures = out[:, :18].reshape(B, 3, 3, 2)  # log-weights, means, log-sigmas; dimensions; components
        for k, name in enumerate(("log_weights", "means", "log_sigmas")):
            np.testing.assert_allclose(getattr(predicted, name)[:, t], mixtures[:, k], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(predicted.reward_logit[:, t], out[:, 18], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(predicted.done_logit[:, t], out[:, 19], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(carry, (h, c), rtol=1e-4, atol=1e-5)


def test_steps_with_the_carry_match_the_sequence():
    module, params = MDNRNN(SMALL), variables(SMALL)
    z, action, reward, carry = inputs(SMALL)
    whole, hidden, end = module.apply(params, z, action, reward, carry)
    step = jax.jit(module.apply)
    for t in range(T):
        now = slice(t, t + 1)
        predicted, h, carry = step(params, z[:, now], action[:, now], reward[:, now], carry)
        np.testing.assert_allclose(h[:, 0], hidden[:, t], rtol=1e-4, atol=1e-5)
        chex.assert_trees_all_close(predicted, jax.tree.map(lambda x, now=now: x[:, now], whole), rtol=1e-4, atol=1e-4)
    chex.assert_trees_all_close(carry, end, rtol=1e-4, atol=1e-5)


def test_logits_are_none_without_heads():
    config = Config(reward_head=False)
    predicted = jax.eval_shape(lambda: MDNRNN(config).apply(variables(config), *inputs(config)))[0]
    assert predicted.reward_logit is None and predicted.done_logit is None
    assert predicted.means.shape == (B, T, 32, 5)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 1.3])
def test_dream_step_samples_the_prediction(temperature):
    module, params = MDNRNN(SMALL), variables(SMALL)
    z, action, reward, carry = inputs(SMALL, 1, 1)
    predicted, _, end = module.apply(params, z, action, reward, carry)
    one = jax.tree.map(lambda x: x[0], carry)
    draws = 20_000
    step = jax.jit(
        jax.vmap(lambda key: dream_step(module, params, key, z[0, 0], action[0, 0], reward[0, 0], one, temperature))
    )
    after, rewards, done_logit, carry = step(jax.random.split(jax.random.key(0), draws))
    assert after.shape == (draws, 3)
    for d in range(3):
        log_weights, mean, log_sigma = (np.asarray(a[0, 0, d], float) for a in predicted[:3])
        weights, sigma = special.softmax(log_weights / temperature), np.exp(log_sigma) * np.sqrt(temperature)

        def cdf(x, weights=weights, mean=mean, sigma=sigma):
            return weights @ stats.norm.cdf(x, mean[:, None], sigma[:, None])

        assert stats.kstest(np.asarray(after[:, d]), cdf).pvalue > 1e-3
    assert set(np.unique(rewards)) == {0.0, 1.0}
    np.testing.assert_allclose(rewards.mean(), special.expit(predicted.reward_logit[0, 0]), atol=0.015)
    assert np.abs(np.corrcoef(after.T, rewards)[-1, :-1]).max() < 0.03  # independent samples
    np.testing.assert_allclose(done_logit, np.full(draws, predicted.done_logit[0, 0]), rtol=1e-4)
    expected = jax.tree.map(lambda x: np.repeat(x, draws, 0), end)
    chex.assert_trees_all_close(carry, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_dream_along_repeats_dream_steps():
    module, params, steps = MDNRNN(SMALL), variables(SMALL), 6
    z, action, _, carry = inputs(SMALL, 1, steps)
    key, carry = jax.random.key(5), jax.tree.map(lambda x: 0 * x[0], carry)
    dream = jax.jit(dream_along, static_argnums=0)(module, params, key, z[0, 0], action[0], 0.7)
    now, reward = z[0, 0], 0.0
    for t, step_key in enumerate(jax.random.split(key, steps)):
        np.testing.assert_allclose(dream[t], now, rtol=1e-4, atol=1e-5)
        now, reward, _, carry = dream_step(module, params, step_key, now, action[0, t], jnp.float32(reward), carry, 0.7)
    assert np.ptp(dream, axis=0).min() > 0.01


def test_undrawn_rewards_are_the_more_likely_value():
    module, params = MDNRNN(SMALL), variables(SMALL)
    z, action, reward, carry = inputs(SMALL, 1, 60)
    carry = jax.tree.map(lambda x: 0 * x[0], carry)
    step = jax.jit(partial(dream_step, module, params, draw_rewards=False))
    apply = jax.jit(module.apply)
    likely = []
    for t in range(60):
        step_inputs = z[:, t : t + 1], action[:, t : t + 1], reward[:, t : t + 1]
        predicted, _, _ = apply(params, *step_inputs, jax.tree.map(lambda x: x[None], carry))
        likely.append(float(predicted.reward_logit[0, 0] > 0))
        _, rewarded, _, _ = step(jax.random.key(t), *(x[0, 0] for x in step_inputs), carry)
        assert float(rewarded) == likely[-1]
    assert 0 < sum(likely) < 60


def test_dreams_need_a_reward_head_but_no_done_head():
    with pytest.raises(ConfigError, match="reward_head"):
        transition(MDNRNN(dataclasses.replace(SMALL, reward_head=False)))
    config = dataclasses.replace(SMALL, done_head=False)
    z, action, reward, carry = jax.tree.map(lambda x: x[0, 0] if x.ndim > 2 else x[0], inputs(config, 1, 1))
    _, _, done_logit, _ = transition(MDNRNN(config))(variables(config), jax.random.key(0), z, action, reward[0], carry)
    assert done_logit == -jnp.inf


def test_unknown_activations_are_refused():
    config = dataclasses.replace(SMALL, recurrent_activation="hardsigmoid")
    with pytest.raises(UserError, match="recurrent_activation=hardsigmoid"):
        variables(config)
