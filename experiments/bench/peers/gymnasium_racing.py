"""gymnasium's CarRacing-v3, with or without rendering, which takes most of its time; needs gymnasium[box2d]."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

PATIENCE = 600  # seconds for an episode, so that a dead process does not block for ever


class BlindCarRacing(CarRacing):
    """CarRacing without rendering: observations are blank."""

    def _render(self, mode):
        return np.zeros((1, 1, 3), np.uint8)


class _Bodiless:
    """Stand-in for a Box2D world that creates no bodies."""

    def CreateStaticBody(self, **_):
        return SimpleNamespace(fixtures=[SimpleNamespace()])


class Drive(NamedTuple):
    """An episode of T steps on a track of N tiles.

    Attributes:
      points: (N, 3), angle, x and y of the track.
      positions: (T + 1, 2), of the hull, from the reset on.
      on_road: (T, 4) bool, for each wheel.
      rewards: (T,).
      visited: (N,) bool, tiles visited by the end.
      terminated: true if the episode terminated.
    """

    points: np.ndarray
    positions: np.ndarray
    on_road: np.ndarray
    rewards: np.ndarray
    visited: np.ndarray
    terminated: bool


def track_points(game: CarRacing) -> np.ndarray:
    """Returns angle, x and y of the game's tiles, (N, 3)."""
    return np.array(game.track)[:, 1:]


def try_track(rng: np.random.Generator) -> np.ndarray | None:
    """Tries to make a track from the generator's next numbers; returns angle, x and y of its tiles (N, 3), or None."""
    return _try_track(rng)[0]


def borders(rng: np.random.Generator) -> np.ndarray:
    """Returns a mask (N,) of the tiles with a border, for the track of `try_track`."""
    borders, painted = [], _try_track(rng)[1]
    for _, colour in painted:  # a tile, then its border if there is one
        if isinstance(colour, tuple):
            borders[-1] = True
        else:
            borders.append(False)
    return np.array(borders)


def _try_track(rng):
    game = BlindCarRacing()
    game.world, game._np_random, game.road_poly = _Bodiless(), rng, []
    return track_points(game) if game._create_track() else None, game.road_poly


def make_tracks(seed: int, num: int) -> tuple[list[np.ndarray], float]:
    """Returns `num` tracks, see `try_track`, and the share of failed tries."""
    rng, made, tries = np.random.default_rng(seed), [], 0
    while len(made) < num:
        tries += 1
        points = try_track(rng)
        if points is not None:
            made.append(points)
    return made, 1 - num / tries


def drive(game: CarRacing, seed: int, act: Callable[[CarRacing, int], np.ndarray], steps: int) -> Drive:
    """Plays an episode on the track of a seed, of at most `steps` steps; `act` maps (game, step) to an action."""
    game.reset(seed=seed)
    positions, on_road, rewards, terminated = [tuple(game.car.hull.position)], [], [], False
    while len(rewards) < steps and not terminated:
        _, reward, terminated, _, _ = game.step(np.asarray(act(game, len(rewards)), np.float64))
        positions.append(tuple(game.car.hull.position))
        on_road.append([bool(wheel.tiles) for wheel in game.car.wheels])
        rewards.append(reward)
    visited = np.array([tile.road_visited for tile in game.road])
    arrays = map(np.array, (positions, on_road, rewards))
    return Drive(track_points(game), *arrays, visited, terminated)


def _drive_along_with_others(barrier: Barrier, rates: Any, seed: int, steps: int, hold: int) -> None:
    """Puts the steps per second of one game into `rates`; timing starts when all processes are ready."""
    game = CarRacing()
    actions = np.random.default_rng(seed).uniform([-1, 0, 0], [1, 1, 1], (-(-steps // hold), 3)).repeat(hold, axis=0)
    barrier.wait()
    began = time.perf_counter()
    game.reset(seed=seed)
    for action in actions[:steps]:
        _, _, terminated, truncated, _ = game.step(action)
        if terminated or truncated:
            game.reset()
    rates.put(steps / (time.perf_counter() - began))


def pixel_steps_per_second(processes: int, steps: int, hold: int) -> float:
    """Returns the total rate of several games in parallel, one per process, with rendering.

    Each plays `steps` steps, resets included, with uniform actions held for `hold` steps.
    """
    context = multiprocessing.get_context("spawn")  # not fork: JAX has started threads
    barrier, rates = context.Barrier(processes), context.Queue()
    games = [
        context.Process(target=_drive_along_with_others, args=(barrier, rates, seed, steps, hold), daemon=True)
        for seed in range(processes)
    ]
    for game in games:
        game.start()
    total = sum(rates.get(timeout=PATIENCE) for _ in games)
    for game in games:
        game.join()
    return total
