"""Episodes of gymnasium's own CarRacing-v3, driven by any policy of batches of frames; needs gymnasium[box2d]."""

import functools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

GAME = "CarRacing-v3"


def _make(max_steps: int):
    return gymnasium.make(GAME, max_episode_steps=max_steps)


@contextmanager
def _games(count: int, max_steps: int) -> Iterator[AsyncVectorEnv]:
    """So many games, in a process each; they are gone at the end, whatever it is that ends them.

    Signals to the whole group (Ctrl-C, a scheduler's SIGTERM) are for who plays: a game has the mask with which it was
    started. Hence it has to be killed.
    """
    resource_tracker.ensure_running()  # which the first process would start, and then let both signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        # Not forked: JAX has threads by now.
        make = functools.partial(_make, max_steps)
        envs = AsyncVectorEnv([make] * count, context="spawn", autoreset_mode=AutoresetMode.DISABLED)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield envs
    finally:
        for process in envs.processes:
            process.kill()
            process.join()
        envs.closed = True


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
      first: number of the episode to begin with, where those before it were played already, `games` at a time.
      max_steps: where an episode is cut off; the game's own is 1,000.
      progress: called after each step with how many games it moved on.

    Yields:
      Sums of rewards and numbers of steps, both (N,) float64, of the episodes that were played at a time.
    """
    games = min(games, episodes)
    with _games(games, max_steps) as envs:
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
