"""gymnasium's CarRacing-v3, with or without its pictures, which take most of its time; needs gymnasium[box2d]."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

PATIENCE = 600  # seconds for an episode; a process that died would be waited for for ever


class BlindCarRacing(CarRacing):
    """Draws nothing: observations are blank."""

    def _render(self, mode):
        return np.zeros((1, 1, 3), np.uint8)


class _Bodiless:
    """A world that only pretends to make bodies."""

    def CreateStaticBody(self, **_):
        return SimpleNamespace(fixtures=[SimpleNamespace()])


class Drive(NamedTuple):
    """An episode of T steps on a track of N tiles, as far as it went.

    Attributes:
      points: (N, 3), angle, x and y of the track.
      positions: (T + 1, 2), of the hull, from the reset on.
      on_road: (T, 4) bool, by wheel.
      rewards: (T,).
      visited: (N,) bool, tiles visited at the end.
      terminated: whether the episode ended.
    """

    points: np.ndarray
    positions: np.ndarray
    on_road: np.ndarray
    rewards: np.ndarray
    visited: np.ndarray
    terminated: bool


def track_points(game: CarRacing) -> np.ndarray:
    """(N, 3), angle, x and y of the game's tiles."""
    return np.array(game.track)[:, 1:]


def try_track(rng: np.random.Generator) -> np.ndarray | None:
    """One try at a track from the generator's next numbers: (N, 3), angle, x and y of its tiles; or None."""
    return _try_track(rng)[0]


def borders(rng: np.random.Generator) -> np.ndarray:
    """(N,) bool, which tiles of the track of `try_track` have a border."""
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
    """`num` tracks, see `try_track`; and the share of tries that failed."""
    rng, made, tries = np.random.default_rng(seed), [], 0
    while len(made) < num:
        tries += 1
        points = try_track(rng)
        if points is not None:
            made.append(points)
    return made, 1 - num / tries


def drive(game: CarRacing, seed: int, act: Callable[[CarRacing, int], np.ndarray], steps: int) -> Drive:
    """An episode on the track of a seed, cut off after `steps`; `act` gets the game and the number of the step."""
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
    """Puts steps per second into `rates`, timed from when all are ready."""
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
    """Of so many games at once, one a process, each `steps` steps with pictures, resets included.

    Actions are uniform, each held for `hold` steps.
    """
    context = multiprocessing.get_context("spawn")  # not forked: JAX has threads by now
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
