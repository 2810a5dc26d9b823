"""Dreams, compared with the network stepped by hand, and gymnax's contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from gdl_jax.envs.dream.dynamics import Dream, EnvParams
from gdl_jax.envs.dream.env import DreamEnv
from gdl_jax.models.mdn_rnn import MDNRNN, Config, transition
from gdl_jax.nn.mixture import mixture_sample

CONFIG = Config(z_dim=3, action_dim=2, hidden_units=4, mixtures=2, done_head=True)
MODULE = MDNRNN(CONFIG)


def variables():
    rng = np.random.default_rng(0)
    z, action, reward = (jnp.zeros((1, 1, *shape)) for shape in ((3,), (2,), ()))
    shapes = jax.eval_shape(lambda: MODULE.init(jax.random.key(0), z, action, reward, MODULE.zero_carry(1)))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def network_dream(draw_rewards=True, **options):
    env = DreamEnv(Dream(transition(MODULE, draw_rewards), 3, 4), action_low=(-1, 0), action_high=(1, 1), **options)
    starts = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    return env, EnvParams(variables=variables(), initial_mean=starts, initial_log_var=starts, temperature=1.3)


@struct.dataclass
class Script:
    """Outputs of a scripted dream by step: rewards (1 where positive) and logits of the end."""

    reward: jax.Array
    done: jax.Array


def scripted(rewards, dones, can_end, **params):
    """Returns a dream whose z counts the steps and whose rewards and end logits are given."""

    def step(script, key, z, action, reward, carry, temperature):
        t = z[0].astype(int)
        return z + 1, (script.reward[t] > 0).astype(jnp.float32), script.done[t], carry

    env = DreamEnv(Dream(step, 1, 2, can_end))
    script = Script(jnp.float32(rewards), jnp.float32(dones))
    start = {"initial_mean": jnp.zeros((1, 1)), "initial_log_var": jnp.full((1, 1), -jnp.inf)}
    return env, EnvParams(variables=script, **start, **params)


@pytest.mark.slow
@pytest.mark.parametrize(("observe_cell", "draw_rewards"), [(False, True), (True, False)])
def test_dream_matches_the_network_stepped_by_hand(observe_cell, draw_rewards):
    env, params = network_dream(draw_rewards, observe_cell=observe_cell)
    observation, state = jax.jit(env.reset_env)(jax.random.key(1), params)
    z, reward, h, c = state.z[None, None], jnp.zeros((1, 1)), jnp.zeros((1, 4)), jnp.zeros((1, 4))
    actions = np.random.default_rng(2).uniform(-1, 1, (8, 2)).astype(np.float32)
    step, rewards = jax.jit(env.step_env), []
    apply = jax.jit(MODULE.apply)
    for t, action in enumerate(actions):
        seen = [z[0, 0], h[0], *([c[0]] if observe_cell else [])]
        np.testing.assert_allclose(observation, np.concatenate(seen), rtol=1e-4, atol=1e-5)
        key = jax.random.key(100 + t)
        z_key, reward_key = jax.random.split(key)
        predicted, _, (h, c) = apply(params.variables, z, action[None, None], reward, (h, c))
        z = mixture_sample(z_key, *(x[0, 0] for x in predicted[:3]), 1.3)[None, None]
        least = jax.random.uniform(reward_key) if draw_rewards else 0.5
        reward = (jax.nn.sigmoid(predicted.reward_logit) > least) * 1.0
        observation, state, earned, terminated, info = step(key, state, action, params)
        assert float(earned) == float(state.reward) == float(reward[0, 0]) and not terminated and info == {}
        assert int(state.time) == t + 1
        rewards.append(float(earned))
    assert 0 < sum(rewards) < 8  # both rewards occur, and are fed back


def test_first_z_is_sampled_from_the_initial_encodings():
    env, _ = network_dream()
    mean = np.float32([[-100, 0, 100], [100, 0, -100], [0, 50, 0]])
    log_var = np.log(np.float32([[1, 4, 9], [1, 1, 1], [0.25, 1, 1]]))
    params = EnvParams(variables=variables(), initial_mean=mean, initial_log_var=log_var)
    states = jax.jit(jax.vmap(env.dream.begin, (None, 0)))(params, jax.random.split(jax.random.key(0), 9000))
    row = np.abs(np.asarray(states.z)[:, None] - mean).sum(-1).argmin(1)
    assert np.allclose(np.bincount(row), 3000, atol=250)
    for i in range(3):
        np.testing.assert_allclose(np.asarray(states.z)[row == i].mean(0), mean[i], atol=0.2)
        np.testing.assert_allclose(np.asarray(states.z)[row == i].std(0), np.exp(log_var[i] / 2), rtol=0.06)
    assert not any(np.any(leaf) for leaf in (*states.carry, states.reward, states.done, states.time))


def test_dreams_can_be_mapped_over_temperatures():
    """Near temperature 0 samples are the mean of the heaviest component; their variance grows with the temperature."""
    env, params = network_dream()
    _, state = env.reset_env(jax.random.key(1), params)
    temperatures = jnp.float32([1e-6, 0.5, 1.0, 2.0])
    axes = jax.tree.map(lambda leaf: None, params).replace(temperature=0)

    @jax.jit
    def samples(temperatures):
        def samples_at(params):
            keys = jax.random.split(jax.random.key(2), 4000)
            return jax.vmap(lambda key: env.dream.advance(params, state, jnp.ones(2), key).z)(keys)

        return jax.vmap(samples_at, (axes,))(params.replace(temperature=temperatures))

    drawn = np.asarray(samples(temperatures))
    predicted, _, _ = MODULE.apply(
        params.variables, state.z[None, None], jnp.ones((1, 1, 2)), jnp.zeros((1, 1)), MODULE.zero_carry(1)
    )
    log_weights, means, _ = (np.asarray(x[0, 0]) for x in predicted[:3])
    heaviest = np.take_along_axis(means, log_weights.argmax(-1)[:, None], -1)[:, 0]
    np.testing.assert_allclose(drawn[0], np.broadcast_to(heaviest, drawn[0].shape), atol=0.05)
    assert (np.diff(drawn.std(1).mean(1)) > 0).all()


@pytest.mark.parametrize(
    ("can_end", "expected", "ended"),
    [(True, [1, 0, 1, 0, 0], [0, 0, 1, 1, 1]), (False, [1, 0, 1, 1, 0], [0, 0, 0, 0, 0])],
)
def test_ended_dreams_have_no_reward(can_end, expected, ended):
    """A dream ends where the logit is positive, and stays ended; the reward of that step still counts."""
    env, params = scripted([1, -1, 2, 3, 0], [-1, 0, 1, -1, 1], can_end)
    state, rewards, dones = env.dream.begin(params, jax.random.key(0)), [], []
    for _ in range(5):
        _, state, reward, terminated, _ = env.step_env(jax.random.key(0), state, jnp.zeros(3), params)
        rewards.append(float(reward))
        dones.append(bool(terminated))
    assert rewards == expected and dones == ended


def test_gymnax_step_truncates_and_resets():
    env, params = scripted([1, -1, 1, 1], [-1] * 4, False, max_steps_in_episode=3)
    _, state = env.reset(jax.random.key(0), params)
    seen = []
    for t in range(4):
        observation, state, reward, terminated, truncated, info = env.step(
            jax.random.key(t), state, jnp.zeros(3), params
        )
        seen.append((float(observation[0]), float(reward), bool(terminated), bool(truncated)))
    assert seen == [(1, 1, False, False), (2, 0, False, False), (0, 1, False, True), (1, 1, False, False)]
    assert info["final_observation"].shape == env.observation_space(params).shape == (3,)


def test_network_ending_a_dream_terminates_the_episode():
    env, params = scripted([1, 1], [-1, 1], True)
    _, state = env.reset(jax.random.key(0), params)
    _, state, *_ = env.step(jax.random.key(0), state, jnp.zeros(3), params)
    _, state, _, terminated, truncated, _ = env.step(jax.random.key(0), state, jnp.zeros(3), params)
    assert terminated and not truncated and int(state.time) == 0


@pytest.mark.slow
def test_batched_dreams_equal_single_dreams():
    env, params = network_dream()
    keys = jax.random.split(jax.random.key(0), (4, 3))
    states = jax.jit(jax.vmap(jax.vmap(env.dream.begin, (None, 0)), (None, 0)))(params, keys)
    actions = np.random.default_rng(3).uniform(size=(4, 3, 2)).astype(np.float32)
    advance = jax.jit(jax.vmap(jax.vmap(env.dream.advance, (None, 0, 0, 0)), (None, 0, 0, 0)))
    after = advance(params, states, actions, keys)
    alone = jax.jit(env.dream.advance)
    for p, e in ((0, 0), (3, 1)):
        one = alone(params, jax.tree.map(lambda x, p=p, e=e: x[p, e], states), actions[p, e], keys[p, e])
        for many, single in zip(jax.tree.leaves(after), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(many[p, e], single, rtol=1e-4, atol=1e-5)


def test_spaces_and_missing_default_parameters():
    env, params = network_dream(observe_cell=True)
    observation, _ = env.reset_env(jax.random.key(0), params)
    assert env.observation_space(params).shape == observation.shape == (3 + 4 + 4,)
    actions = jax.vmap(env.action_space(params).sample)(jax.random.split(jax.random.key(0), 500))
    np.testing.assert_allclose(actions.min(0), [-1, 0], atol=0.05)
    np.testing.assert_allclose(actions.max(0), [1, 1], atol=0.05)
    assert env.num_actions == 2
    with pytest.raises(ValueError):
        _ = env.default_params
