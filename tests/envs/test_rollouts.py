import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gdl_jax.envs.car_racing import policies
from gdl_jax.envs.rollouts import open_loop, rollout


def count_to(limit):
    """Returns an environment that sums up actions, which are its rewards, and terminates at `limit`."""

    def step(state, action, key):
        return state + action, action, state + action >= limit, jnp.bool_(False), {}

    return step


def test_steps_after_termination_do_not_count():
    actions = jnp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = rollout(count_to(6), open_loop(actions), jnp.float32(0), jnp.int32(0), jax.random.key(0), 5)
    assert (found.returned, found.length, found.state, found.memory) == (6, 3, 6, 3)
    assert found.terminated
    assert found.records is None


def test_unterminated_episodes_last_all_steps():
    actions = jnp.array([1.0, 2.0, 3.0])
    found = rollout(count_to(100), open_loop(actions), jnp.float32(0), jnp.int32(0), jax.random.key(0), 3)
    assert (found.returned, found.length, found.state) == (6, 3, 6)
    assert not found.terminated


def test_truncated_episodes_are_over_but_not_terminated():
    def step(state, action, key):
        return state + 1, jnp.float32(1), jnp.bool_(False), state + 1 == 4, {}

    found = rollout(step, open_loop(jnp.zeros(9)), jnp.int32(0), jnp.int32(0), jax.random.key(0), 9)
    assert (found.returned, found.length, found.state) == (4, 4, 4)
    assert not found.terminated


def test_records_are_stacked_by_step():
    actions = jnp.array([1.0, 2.0, 3.0, 4.0])
    found = rollout(
        count_to(3),
        open_loop(actions),
        jnp.float32(0),
        jnp.int32(0),
        jax.random.key(0),
        4,
        lambda state, action, reward, after: (state, action, reward, after),
    )
    before, taken, rewards, after = found.records
    np.testing.assert_array_equal(before, [0, 1, 3, 3])
    np.testing.assert_array_equal(taken, [1, 2, 3, 3])
    np.testing.assert_array_equal(rewards, [1, 2, 0, 0])
    np.testing.assert_array_equal(after, [1, 3, 6, 6])


def test_policies_have_memory_and_separate_keys():
    def policy(memory, state, key):
        return memory + 1, jax.random.uniform(key)

    found = rollout(
        count_to(100), policy, jnp.float32(0), jnp.int32(0), jax.random.key(0), 50, lambda _, action, *__: action
    )
    assert found.memory == 50
    assert len(np.unique(found.records)) == 50


def test_held_uniform_actions():
    actions = np.asarray(policies.held_uniform(jax.random.key(0), 4998, 5))
    assert actions.shape == (4998, 3)
    blocks = actions[:4995].reshape(-1, 5, 3)
    np.testing.assert_array_equal(blocks, np.repeat(blocks[:, :1], 5, axis=1))
    drawn = blocks[:, 0]
    for column, (low, width) in enumerate(((-1, 2), (0, 1), (0, 1))):
        assert stats.kstest(drawn[:, column], stats.uniform(low, width).cdf).pvalue > 0.001
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(3), atol=0.1)


@pytest.mark.slow
def test_book_2020_actions():
    actions = np.asarray(policies.book_2020(jax.random.key(0), 20_000, 5))
    np.testing.assert_allclose(actions[:20], np.tile([-0.1, 1, 0], (20, 1)), rtol=1e-6)
    steer, gas, brake = actions[20::5].T
    assert (np.count_nonzero(actions[20:], axis=1) <= 1).all()
    shares = [(gas > 0).mean(), (steer < 0).mean(), (steer > 0).mean(), (brake > 0).mean()]
    np.testing.assert_allclose(shares, [0.4, 0.2, 0.2, 0.1], atol=0.03)
    for amounts in (gas[gas > 0], -steer[steer < 0], steer[steer > 0], brake[brake > 0]):
        assert stats.kstest(amounts, "uniform").pvalue > 0.001


def test_book_2020_starts_with_one_action_when_held_for_20_steps():
    actions = np.asarray(policies.book_2020(jax.random.key(1), 60, 20))
    np.testing.assert_allclose(actions[:20], np.tile([-0.1, 1, 0], (20, 1)), rtol=1e-6)
    assert (actions[20] != actions[19]).any()


@pytest.mark.slow
def test_brownian_actions():
    actions = np.asarray(policies.brownian(jax.random.key(0), 20_000))
    assert (actions >= [-1, 0, 0]).all() and (actions <= [1, 1, 1]).all()
    steer = actions[:, 0]
    free = np.abs(steer[:-1]) < 0.4  # far from the bounds, moves are hardly ever clipped
    moves = np.diff(steer)[free]
    assert stats.kstest(moves, stats.norm(0, np.sqrt(1 / 50)).cdf).pvalue > 0.001
    assert (actions == [1, 1, 1]).any(axis=0).all()  # it is clipped, not reflected
    first = jax.vmap(lambda key: policies.brownian(key, 1)[0])(jax.random.split(jax.random.key(1), 20))
    assert first[:, 0].min() < 0 < first[:, 0].max()
