"""Checkpoints with the random numbers of gymnasium's CarRacing-v3."""

import numpy as np

from gdl_jax.envs.car_racing.track import CHECKPOINTS, TRACK_RADIUS


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws polar angles and radii, both (CHECKPOINTS,), with the generator used in gymnasium's order."""
    sector = 2 * np.pi / CHECKPOINTS
    drawn = np.array(
        [(rng.uniform(0, sector), rng.uniform(TRACK_RADIUS / 3, TRACK_RADIUS)) for _ in range(CHECKPOINTS)]
    )
    angles, radii = sector * np.arange(CHECKPOINTS) + drawn[:, 0], drawn[:, 1]
    angles[0], angles[-1] = 0, sector * (CHECKPOINTS - 1)
    radii[[0, -1]] = 1.5 * TRACK_RADIUS
    return angles.astype(np.float32), radii.astype(np.float32)
