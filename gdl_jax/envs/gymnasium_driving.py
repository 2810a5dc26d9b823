"""Rollouts of batched policies in the original CarRacing-v3 of gymnasium; needs gymnasium[box2d]."""

import functools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import numpy as np

from gdl_jax.core.extras import extra

with extra("worlds"):
    import gymnasium
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode

GAME = "CarRacing-v3"


def _make(max_steps: int):
    return gymnasium.make(GAME, max_episode_steps=max_steps)


@contextmanager
def _games(count: int, max_steps: int) -> Iterator[AsyncVectorEnv]:
    """Runs `count` games, each in its own process, and kills the processes on exit, even after an exception.

    Signals to the process group (Ctrl-C, a scheduler's SIGTERM) are left to the parent: games inherit a mask that
    blocks them, which is why they have to be killed.
    """
    resource_tracker.ensure_running()  # else the first process starts it, which unblocks both signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        # Spawned, not forked: JAX has started threads.
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
      begin: (index of the first episode of a batch, batch size N) -> initial carry of the policy.
      act: (frames (N, 96, 96, 3) uint8, rewards (N,) of the previous step, carry) -> actions (N, 3), carry.
      episodes: number of episodes; episode i has the seed `seed` + i.
      seed: of episode 0.
      games: number of processes, and so episodes per batch.
      first: index of the first episode to play; earlier ones were played before, in batches of `games`.
      max_steps: after which an episode is truncated; the original limit is 1,000.
      progress: called after each step with the number of games that it advanced.

    Yields:
      Returns and numbers of steps, both (N,) float64, of each batch of episodes.
    """
    games = min(games, episodes)
    with _games(games, max_steps) as envs:
        for number in range(first, episodes, games):
            numbers = number + np.arange(games)  # the last batch may contain surplus episodes, which are ignored
            frames, _ = envs.reset(seed=(seed + numbers).tolist())
            carry, rewards = begin(number, games), np.zeros(games)
            returns, lengths, counted = np.zeros(games), np.zeros(games), numbers < episodes
            running = counted.copy()
            while running.any():
                actions, carry = act(frames, rewards, carry)
                frames, rewards, terminated, truncated, _ = envs.step(actions)
                returns += np.where(running, rewards, 0.0)
                lengths += running
                progress(int(running.sum()))
                running &= ~(terminated | truncated)
            yield returns[counted], lengths[counted]
