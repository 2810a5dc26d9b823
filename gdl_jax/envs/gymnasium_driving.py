"""Episodes of gymnasium's own CarRacing-v3, driven by any policy of batches of frames; needs gymnasium[box2d]."""

import functools
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

GAME = "CarRacing-v3"


def _make(max_steps: int):
    return gymnasium.make(GAME, max_episode_steps=max_steps)


def play(
    begin: Callable[[int, int], Any],
    act: Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, Any]],
    episodes: int,
    *,
    seed: int,
    games: int,
    max_steps: int = 1000,
    progress: Callable[[int], None] = lambda steps: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Plays `episodes` episodes, `games` at a time in a process each.

    Args:
      begin: (number of the first episode, how many are played at a time) -> what the policy has in mind at first.
      act: (frames (N, 96, 96, 3) uint8, rewards (N,) of the step before, mind) -> actions (N, 3), mind.
      episodes: how many; episode i has the seed `seed` + i.
      seed: of the first.
      games: processes.
      max_steps: where an episode is cut off; the game's own is 1,000.
      progress: called after each step with how many games it moved on.

    Returns:
      Sums of rewards and numbers of steps, both (episodes,) float64.
    """
    returns, lengths = np.zeros(episodes), np.zeros(episodes)
    games = min(games, episodes)
    # Not forked: JAX has threads by now.
    envs = AsyncVectorEnv(
        [functools.partial(_make, max_steps)] * games, context="spawn", autoreset_mode=AutoresetMode.DISABLED
    )
    try:
        for first in range(0, episodes, games):
            numbers = first + np.arange(games)  # the last round plays some episodes more, which don't count
            frames, _ = envs.reset(seed=(seed + numbers).tolist())
            mind, rewards = begin(first, games), np.zeros(games)
            running = numbers < episodes
            while running.any():
                actions, mind = act(frames, rewards, mind)
                frames, rewards, terminated, truncated, _ = envs.step(actions)
                returns[numbers[running]] += rewards[running]
                lengths[numbers[running]] += 1
                progress(int(running.sum()))
                running &= ~(terminated | truncated)
    finally:
        envs.close()
    return returns, lengths
