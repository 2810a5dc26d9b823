"""Episodes of gymnasium's own CarRacing-v3, driven by any policy of batches of frames; needs gymnasium[box2d]."""

import functools
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

GAME = "CarRacing-v3"


def _make(max_steps: int):
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: who plays ends the games
    return gymnasium.make(GAME, max_episode_steps=max_steps)


def play(
    begin: Callable[[int, int], Any],
    act: Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, Any]],
    episodes: int,
    *,
    seed: int,
    games: int,
    first: int = 0,
    max_steps: int = 1000,
    progress: Callable[[int], None] = lambda steps: None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Plays `episodes` episodes, `games` at a time in a process each.

    Args:
      begin: (number of the first episode, how many are played at a time) -> what the policy has in mind at first.
      act: (frames (N, 96, 96, 3) uint8, rewards (N,) of the step before, mind) -> actions (N, 3), mind.
      episodes: how many; episode i has the seed `seed` + i.
      seed: of episode 0.
      games: processes.
      first: number of the episode to begin with, where those before it were played already; a multiple of `games`.
      max_steps: where an episode is cut off; the game's own is 1,000.
      progress: called after each step with how many games it moved on.

    Yields:
      Sums of rewards and numbers of steps, both (N,) float64, of the episodes that were played at a time.
    """
    games = min(games, episodes)
    # Not forked: JAX has threads by now.
    envs = AsyncVectorEnv(
        [functools.partial(_make, max_steps)] * games, context="spawn", autoreset_mode=AutoresetMode.DISABLED
    )
    try:
        for number in range(first, episodes, games):
            numbers = number + np.arange(games)  # the last round plays some episodes more, which don't count
            frames, _ = envs.reset(seed=(seed + numbers).tolist())
            mind, rewards = begin(number, games), np.zeros(games)
            returns, lengths, counted = np.zeros(games), np.zeros(games), numbers < episodes
            running = counted.copy()
            while running.any():
                actions, mind = act(frames, rewards, mind)
                frames, rewards, terminated, truncated, _ = envs.step(actions)
                returns += np.where(running, rewards, 0.0)
                lengths += running
                progress(int(running.sum()))
                running &= ~(terminated | truncated)
            yield returns[counted], lengths[counted]
    finally:
        envs.close()
