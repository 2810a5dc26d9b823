"""gymnasium's CarRacing-v3 without its pictures, which take most of its time; needs gymnasium[box2d]."""

from types import SimpleNamespace

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing


class BlindCarRacing(CarRacing):
    """Draws nothing: observations are blank."""

    def _render(self, mode):
        return np.zeros((1, 1, 3), np.uint8)


class _Bodiless:
    """A world that only pretends to make bodies."""

    def CreateStaticBody(self, **_):
        return SimpleNamespace(fixtures=[SimpleNamespace()])


def tracks(seed: int, num: int) -> tuple[list[np.ndarray], float]:
    """`num` tracks as gymnasium makes them, each (N, 3): angle, x, y of its tiles; and the share of tries that fail."""
    game = BlindCarRacing()
    game.world, game._np_random = _Bodiless(), np.random.default_rng(seed)
    made, tries = [], 0
    while len(made) < num:
        tries += 1
        game.road_poly = []
        if game._create_track():
            made.append(np.array(game.track)[:, 1:])
    return made, 1 - num / tries


def tiles_touched(game: CarRacing) -> list[set[int]]:
    """Indices of the tiles under each wheel when Box2D last looked for contacts."""
    return [{tile.idx for tile in wheel.tiles} for wheel in game.car.wheels]


def tiles_visited(game: CarRacing) -> np.ndarray:
    """(N,) bool."""
    return np.array([tile.road_visited for tile in game.road])
