"""Policies without training: random actions, and a driver with access to the track.

Actions are (3,): steering in [-1, 1], gas and brake in [0, 1]. Random policies don't depend on observations, so they
are functions from a key to all actions of an episode.
"""

import jax
import jax.numpy as jnp

from gdl_jax.envs.car_racing.car import FPS, Car, hull_position, hull_velocity
from gdl_jax.envs.car_racing.track import TILE_LENGTH, Track

LOW, HIGH = (-1.0, 0.0, 0.0), (1.0, 1.0, 1.0)
# Of `pure_pursuit`: tiles from the car to the point that it steers towards, and tiles whose curvature limits the speed.
LOOK_AHEAD, LOOK_AHEAD_PER_SPEED, WATCHED = 2.5, 0.05, 12


def _uniform(key: jax.Array, rows: int) -> jax.Array:
    return jax.random.uniform(key, (rows, 3), minval=jnp.array(LOW), maxval=jnp.array(HIGH))


def held(actions: jax.Array, steps: int, hold: int) -> jax.Array:
    """Repeats each row of (ceil(steps / hold), ...) for `hold` steps: (steps, ...)."""
    return jnp.repeat(actions, hold, axis=0)[:steps]


def held_uniform(key: jax.Array, steps: int, hold: int) -> jax.Array:
    """Draws (steps, 3): uniform in the action box, a new action every `hold` steps (the book's policy of 2019)."""
    return held(_uniform(key, -(-steps // hold)), steps, hold)


def book_2020(key: jax.Array, steps: int, hold: int) -> jax.Array:
    """Draws (steps, 3): the policy of the book's repository since 2020, a new action every `hold` steps.

    Actions chosen in the first 20 steps are full gas with slight steering to the left. Later ones have an amount from
    U(0, 1) and one of ten equally probable kinds: four are gas, two steer left, two steer right, one brakes, and one
    does nothing.
    """
    rows = -(-steps // hold)
    choice_key, amount_key = jax.random.split(key)
    one_each = jnp.array([[0.0, 0, 0], [0, 1, 0], [-1, 0, 0], [1, 0, 0], [0, 0, 1]])
    kinds = one_each[jnp.array([0, 1, 1, 1, 1, 2, 2, 3, 3, 4])]
    drawn = kinds[jax.random.randint(choice_key, (rows,), 0, 10)] * jax.random.uniform(amount_key, (rows, 1))
    starting = (jnp.arange(rows) * hold < 20)[:, None]
    return held(jnp.where(starting, jnp.array([-0.1, 1.0, 0.0]), drawn), steps, hold)


def brownian(key: jax.Array, steps: int) -> jax.Array:
    """Draws (steps, 3): a random walk clipped to the action box, a_t+1 = a_t + N(0, dt), dt = 1/50 (ctallec 2018)."""
    start_key, walk_key = jax.random.split(key)
    moves = FPS**-0.5 * jax.random.normal(walk_key, (steps, 3))

    def move(action, change):
        return jnp.clip(action + change, jnp.array(LOW), jnp.array(HIGH)), action

    return jax.lax.scan(move, _uniform(start_key, 1)[0], moves)[1]


def pure_pursuit(track: Track, car: Car, cornering: float = 120.0, top_speed: float = 80.0) -> jax.Array:
    """Returns the action (3,) of a driver that steers towards a point ahead and slows down for turns (Coulter 1992).

    Args:
      cornering: largest lateral acceleration in turns, in units/s^2; the wheels hold up to 219 on the road.
      top_speed: in units/s.
    """
    position, speed = hull_position(car), jnp.linalg.norm(hull_velocity(car))
    nearest = jnp.square(track.centre - position).sum(axis=1).argmin()
    ahead = (LOOK_AHEAD + speed * LOOK_AHEAD_PER_SPEED).astype(jnp.int32)
    goal = track.centre[(nearest + ahead) % track.count] - position
    cos, sin = jnp.cos(car.angle), jnp.sin(car.angle)
    error = jnp.arctan2(cos * goal[0] + sin * goal[1], cos * goal[1] - sin * goal[0])  # positive to the right

    rows = (nearest + jnp.arange(WATCHED)) % track.count
    turns = jnp.diff(track.angle[rows])
    turns = jnp.abs(jnp.mod(turns + jnp.pi, 2 * jnp.pi) - jnp.pi)
    curvature = jnp.convolve(turns, jnp.full((3,), 1 / 3), mode="valid").max() / TILE_LENGTH
    target = jnp.minimum(top_speed, jnp.sqrt(cornering / jnp.maximum(curvature, 1e-3)))
    gas = jnp.clip(0.1 * (target - speed), 0.0, 1.0)
    brake = jnp.clip(0.05 * (speed - target), 0.0, 0.8)
    return jnp.stack([jnp.clip(1.2 * error, -1.0, 1.0), gas, brake])
