"""Parallel games of gymnasium, compared with single ones."""

import numpy as np
import pytest

pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")

import gymnasium

from gdl_jax.envs.gymnasium_driving import GAME, play

EPISODES, STEPS, SEED = 3, 20, 7


def decide(frames, rewards, carry):
    """Returns actions (N, 3) that depend on frames, rewards and the carry."""
    brightness = frames.reshape(len(frames), -1).mean(axis=1) / 255
    steering = np.sin(40 * brightness + rewards + carry)
    return np.stack([steering, np.full(len(frames), 0.8), np.zeros(len(frames))], axis=1), carry + 0.1


def alone(number):
    env = gymnasium.make(GAME, max_episode_steps=STEPS)
    frame, _ = env.reset(seed=SEED + number)
    carry, reward, rewards, over = np.array([float(number // 2)]), 0.0, [], False
    while not over:
        action, carry = decide(frame[None], np.array([reward]), carry)
        frame, reward, terminated, truncated, _ = env.step(action[0])
        rewards.append(reward)
        over = terminated or truncated
    env.close()
    return sum(rewards), len(rewards)


@pytest.mark.slow
def test_parallel_games_match_single_games():
    """Plays three episodes in two processes: the second batch has a surplus episode, which is ignored."""
    counted = []
    rounds = play(
        lambda first, games: np.full(games, float(first // 2)),
        decide,
        EPISODES,
        seed=SEED,
        games=2,
        max_steps=STEPS,
        progress=counted.append,
    )
    returns, lengths = (np.concatenate(each) for each in zip(*rounds, strict=True))
    expected = [alone(number) for number in range(EPISODES)]
    np.testing.assert_allclose(returns, [total for total, _ in expected], rtol=1e-6)
    np.testing.assert_array_equal(lengths, [length for _, length in expected])
    assert len(set(returns.round(3))) == EPISODES
    assert sum(counted) == EPISODES * STEPS
